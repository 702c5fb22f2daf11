-- Verifies the signature and nothing else. SHA-256 as FIPS 180-4 writes it, with LuaJIT's bit operations; both halves of the key
-- are hashed once.
local band, bnot, bxor = bit.band, bit.bnot, bit.bxor
local ror, rshift, tobit, tohex = bit.ror, bit.rshift, bit.tobit, bit.tohex
local lshift, bor = bit.lshift, bit.bor
local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub

local K = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
for i = 1, 64 do K[i] = tobit(K[i]) end

local START = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 }
for i = 1, 8 do START[i] = tobit(START[i]) end

local W = {}

-- Hashes the whole blocks of `text` from `from` to `to` into the state `H`.
local function blocks(H, text, from, to)
  for at = from, to, 64 do
    for i = 1, 16 do
      local a, b, c, d = byte(text, at + i * 4 - 4, at + i * 4 - 1)
      W[i] = bor(lshift(a, 24), lshift(b, 16), lshift(c, 8), d)
    end
    for i = 17, 64 do
      local x, y = W[i - 15], W[i - 2]
      local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
      local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
      W[i] = tobit(W[i - 16] + s0 + W[i - 7] + s1)
    end
    local a, b, c, d, e, f, g, h = H[1], H[2], H[3], H[4], H[5], H[6], H[7], H[8]
    for i = 1, 64 do
      local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
      local t1 = h + s1 + bxor(band(e, f), band(bnot(e), g)) + K[i] + W[i]
      local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
      local t2 = s0 + bxor(band(a, b), band(a, c), band(b, c))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
    end
    H[1], H[2], H[3], H[4] = tobit(H[1] + a), tobit(H[2] + b), tobit(H[3] + c), tobit(H[4] + d)
    H[5], H[6], H[7], H[8] = tobit(H[5] + e), tobit(H[6] + f), tobit(H[7] + g), tobit(H[8] + h)
  end
end

local function bytes(number)
  return char(rshift(number, 24), band(rshift(number, 16), 255), band(rshift(number, 8), 255), band(number, 255))
end

-- The hash of what `state` holds, a block of 64 bytes, followed by `text`.
local function finish(state, text)
  local H = { unpack(state) }
  local whole = #text - #text % 64
  blocks(H, text, 1, whole)
  local last = sub(text, whole + 1) .. '\128'
  last = last .. rep('\0', (56 - #last) % 64) .. '\0\0\0\0' .. bytes((#text + 64) * 8)
  blocks(H, last, 1, #last)
  return H
end

local function half(key, pad)
  local padded = {}
  for i = 1, 64 do padded[i] = char(bxor(byte(key, i) or 0, pad)) end
  local H = { unpack(START) }
  blocks(H, table.concat(padded), 1, 64)
  return H
end

local SECRET = 'THE SECRET'
local INNER, OUTER = half(SECRET, 0x36), half(SECRET, 0x5c)

local function join(H, with)
  return with(H[1]) .. with(H[2]) .. with(H[3]) .. with(H[4]) .. with(H[5]) .. with(H[6]) .. with(H[7]) .. with(H[8])
end

function envoy_on_request(handle)
  local given = handle:headers():get('x-webhook-signature') or ''
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ''
  local expected = join(finish(OUTER, join(finish(INNER, text), bytes)), tohex)
  local difference = #given == 64 and 0 or 1
  for i = 1, 64 do difference = bor(difference, bxor(byte(given, i) or 0, byte(expected, i))) end
  if difference ~= 0 then handle:respond({ [':status'] = '401' }, '') end
end
