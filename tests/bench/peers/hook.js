// A receiver for nginx's JavaScript module: verifies the signature, reads the JSON and passes the request on.
import crypto from 'crypto';

const secret = process.env.WEBHOOK_SECRET;

function isSame(given, expected) {
  let difference = given.length ^ expected.length;
  for (let i = 0; i < expected.length; i++) {
    difference |= given.charCodeAt(i) ^ expected.charCodeAt(i);
  }
  return difference === 0;
}

function receive(r) {
  const expected = crypto.createHmac('sha256', secret).update(r.requestBuffer).digest('hex');
  if (!isSame(r.headersIn['X-Webhook-Signature'] || '', expected)) {
    return r.return(401);
  }
  const payload = JSON.parse(r.requestText);
  const messages = payload.batch ? payload.data : [payload];
  if (!messages.every((item) => item.message.id)) {
    return r.return(422);
  }
  r.internalRedirect('@next');
}

export default { receive };
