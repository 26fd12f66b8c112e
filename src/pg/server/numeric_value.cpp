#include "pg/server/numeric_value.h"

namespace fraud::pg {

namespace {

constexpr double kPowersOf10000[] = {1, 1e4, 1e8, 1e12, 1e16, 1e20};

// Reads the stored form: a header of 16 bits (short form: sign, weight; long form: the
// weight follows), then digits to the base of 10,000. pg_upgrade keeps it as it is.
// False for what has more digits than a double holds exactly.
bool small_value(const char* data, size_t size, double* value) {
  uint16 header;
  if (size < sizeof(header)) return false;
  memcpy(&header, data, sizeof(header));
  size_t offset = sizeof(header);
  int weight;
  bool negative;
  if ((header & 0xC000) == 0x8000) {
    weight = (header & 0x0040 ? ~0x003F : 0) | (header & 0x003F);
    negative = (header & 0x2000) != 0;
  } else if ((header & 0xC000) == 0xC000) {
    return false;  // NaN and infinities
  } else {
    int16 stored;
    if (size < offset + sizeof(stored)) return false;
    memcpy(&stored, data + offset, sizeof(stored));
    offset += sizeof(stored);
    weight = stored;
    negative = (header & 0xC000) == 0x4000;
  }
  const size_t digits = (size - offset) / sizeof(int16);
  if (digits > 4) return false;
  uint64 whole = 0;
  for (size_t i = 0; i < digits; ++i) {
    int16 digit;
    memcpy(&digit, data + offset + i * sizeof(digit), sizeof(digit));
    whole = whole * 10000 + static_cast<uint64>(digit);
  }
  if (whole > (uint64{1} << 53)) return false;
  // The last digit's place. Both numbers are exact: one rounding makes the result.
  const int place = weight - static_cast<int>(digits) + 1;
  if (place < -5 || place > 5) return false;
  double result = static_cast<double>(whole);
  if (place < 0) result /= kPowersOf10000[-place];
  if (place > 0) result *= kPowersOf10000[place];
  *value = negative ? -result : result;
  return true;
}

}  // namespace

double numeric_value(Datum numeric) {
  auto* packed = reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_PACKED(numeric));
  double value;
  if (small_value(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed), &value)) return value;
  return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, numeric));
}

}  // namespace fraud::pg
