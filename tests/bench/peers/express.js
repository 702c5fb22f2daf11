// A receiver as the vendor's documentation writes it, with the raw body that a signature needs.
const crypto = require('crypto');
const express = require('express');

const secret = process.env.WEBHOOK_SECRET;
const app = express();

app.post('/webhooks/whatsapp', express.raw({ type: 'application/json', limit: '5mb' }), (req, res) => {
  const signature = req.get('X-Webhook-Signature') || '';
  const expected = crypto.createHmac('sha256', secret).update(req.body).digest('hex');
  const given = Buffer.from(signature);
  if (given.length !== expected.length || !crypto.timingSafeEqual(given, Buffer.from(expected))) {
    return res.status(401).send('Invalid signature');
  }
  const event = req.get('X-Webhook-Event');
  const payload = JSON.parse(req.body.toString());
  const messages = payload.batch ? payload.data : [payload];
  if (event !== 'whatsapp.message.received' || !messages.every((item) => item.message.id)) {
    return res.status(422).send('Unexpected event');
  }
  res.status(200).send('OK');
});

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
