-- A receiver for nginx's Lua module: verifies the signature with OpenSSL, reads the JSON and passes the request on.
local bit = require 'bit'
local cjson = require 'cjson'
local ffi = require 'ffi'

ffi.cdef [[
  const void *EVP_sha256(void);
  unsigned char *HMAC(const void *algorithm, const void *key, int key_length, const void *data, size_t length,
                      unsigned char *result, unsigned int *result_length);
]]

local secret = os.getenv('WEBHOOK_SECRET')
local sha256 = ffi.C.EVP_sha256()
local result = ffi.new('unsigned char[32]')

local function is_same(given, expected)
  local difference = bit.bxor(#given, #expected)
  for i = 1, #expected do
    difference = bit.bor(difference, bit.bxor(given:byte(i) or 0, expected:byte(i)))
  end
  return difference == 0
end

local digits = {}
for byte = 0, 255 do digits[byte] = ('%02x'):format(byte) end

local function hex(bytes)
  local words = {}
  for i = 1, 32 do words[i] = digits[bytes[i - 1]] end
  return table.concat(words)
end

local function receive()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  ffi.C.HMAC(sha256, secret, #secret, body, #body, result, nil)
  if not is_same(ngx.var.http_x_webhook_signature or '', hex(result)) then
    return ngx.exit(401)
  end
  local payload = cjson.decode(body)
  for _, item in ipairs(payload.batch and payload.data or { payload }) do
    if not item.message.id then return ngx.exit(422) end
  end
  return ngx.exec('@next')
end

return { receive = receive }
