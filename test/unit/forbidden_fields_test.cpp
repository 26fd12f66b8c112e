// Tests of what must not be kept: its names, and text that holds it, whole or broken.
#include "core/payments/forbidden_fields.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fraud {
namespace {

const std::vector<std::string> kForbidden = {
    "cvv", "CVV", "Cvv2", "cvv_2", "CVC", "cvc2", "CAV2", "cid", "CID", "csc", "iCVV", "dCVV", "cvn", "cvd",
    "card_cvv", "cvvCode", "cvv_code", "cardCVV2", "customerCvvValue", "cc-cvc", "payment.card.cvv", "cardcvv",
    "card_verification_value", "cardVerificationValue", "Card Verification Code", "CARD-SECURITY-CODE",
    "CCV", "ccv2", "card_ccv", "CV2", "cardCv2", "cv2Code", "cardCvx", "cvx", "4DBC", "pinblk", "security_code", "securityCode", "c v v", "c.v.v.", "C-V-V-2", "ＣＶＶ", "card_code",
    "PIN", "pin", "p.i.n.", "Pin-Block", "pinBlock", "PINBlock", "encrypted_pin_block", "card_pin", "atmPin",
    "user_pin", "pin_number", "PIN2", "newPin", "cardpin", "PVV", "pin_offset", "pinhash",
    "track1", "track_1", "Track 2", "track2", "track2Data", "TRACK2_EQUIVALENT_DATA", "trackData", "track3", "magstripe",
    "mag_stripe", "magneticStripeData", "full track", "de35", "DE52", "card_track", "track2data"};
const std::vector<std::string> kAllowed = {
    "", "pin_code", "pincode", "PIN Code", "pinCode", "spin", "spinning", "opinion", "shipping", "tracking_number", "track",
    "track_id", "track_number", "soundtrack", "tracker1", "racetrack", "cvv_result", "cvvResponse", "cvv_match", "pin_verified",
    "is_pin", "pin_entry_mode", "pin_required", "cidade", "cid_name", "incident", "placid", "description", "security", "code",
    "postal_code", "verification", "merchant", "category", "amt", "cc_num", "trans_num", "current_time", "city", "company", "zip",
    "cv2_result", "cv", "cv_length", "accvalue", "ccv_response", "stripe_id", "validation", "pinterest", "hairpin", "card", "last_four", "is_fraud", "unix_time", "dob", "first", "state"};

TEST(ForbiddenFields, AreKnownByTheirNames) {
  for (const std::string& name : kForbidden) EXPECT_TRUE(is_forbidden_field(name)) << name;
  for (const std::string& name : kAllowed) EXPECT_FALSE(is_forbidden_field(name)) << name;
  for (const std::string name : {"cc_num", "PAN", "cardNumber", "Card-No", "primary_account_number"}) {
    EXPECT_TRUE(is_card_number_field(name)) << name;
  }
  EXPECT_FALSE(is_card_number_field("pancake"));
  for (const std::string name : {"name", "@name", "attributeName", "metadata_key", "fieldId", "id", "n", "Title", "type"}) EXPECT_TRUE(is_naming_field(name)) << name;
  for (const std::string name : {"", "value", "entry_mode", "card_type", "code", "names", "idle", "valid"}) EXPECT_FALSE(is_naming_field(name)) << name;
  EXPECT_FALSE(is_card_number_field("card"));
}

TEST(ForbiddenFields, AreCutOutOfText) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", ""},
      {R"({"a":1,"cvv":"123","b":2})", R"({"a":1,"[cut],"b":2})"},
      {R"({"a":1,"cvv" : 123)", R"({"a":1,"[cut])"},
      {R"({"cvv":"12)", R"({"[cut])"},
      {R"({"pin":{"a":["4321"]},"b":2})", R"({"[cut],"b":2})"},
      {R"({"pin":[4321,"]"],"b":2})", R"({"[cut],"b":2})"},
      {R"({\"cvv\":\"12\\\"3\",\"b\":2})", R"({\"[cut],\"b\":2})"},
      {"{\"\\u0063v\\u0076\":\"123\"}", R"({"[cut]})"},
      {"<cvv>123</cvv><b>2</b>", "<[cut]</cvv><b>2</b>"},
      {"<card cvv='123' b='2'/>", "<[cut] b='2'/>"},
      {"amt=5&cvv=123&b=2", "amt=5&[cut]&b=2"},
      {"Security Code: 123\nb", "[cut]\nb"},
      {"the PIN 4321 was", "[cut] was"},
      {"the PIN was wrong", "the PIN was wrong"},
      {"the PIN is 4321.", "[cut]."},
      {"cvv (123), cvv->123, cvv|123, cvv;123", "[cut]), [cut], [cut], [cut]"},
      {"is 3 cvv is unknown", "is 3 cvv is unknown"},
      {"amt=5%26x&cvv%3D123&b=2", "amt=5%26x&[cut]&b=2"},
      {"%22cvv%22%3A%22123%22,b", "%[cut],b"},
      {R"(<field name="cvv">123</field>)", R"(<field name="cvv">***</field>)"},
      {R"(<param name='cvv' value='123'/>)", R"(<param name='cvv' value='***'/>)"},
      {R"([{"attributeName":"cvv","v":"123"})", R"([{"attributeName":"cvv","v":"***"})"},
      {"cc,cvv,amt\n4,123,5\n", "cc,cvv,amt\n*,***,*\n"},
      {R"({"columns":["amt","cvv"],"data":[[5,123]])", R"({"columns":["amt","cvv"],"data":[[*,***]])"},
      {R"([{"name":"cvv","value":"123"})", R"([{"name":"cvv","value":"***"})"},
      {R"({"entry_mode":"PIN","amt":5)", R"({"entry_mode":"PIN","amt":5)"},
      {R"({"pin_code":"560001","spin":"4321")", R"({"pin_code":"560001","spin":"4321")"},
  };
  for (const auto& [text, kept] : cases) EXPECT_EQ(cut_forbidden_fields(text), kept) << text;
}

// Broken anywhere and wrapped however often, no text shows the value of a field that
// it names as a whole.
TEST(ForbiddenFields, AreCutOutOfWhatIsBrokenAnywhere) {
  for (const std::string& name : kForbidden) {
    for (const std::string value : {"\"8642097\"", "8642097", "[\"8642097\"]", "{\"v\":8642097}", "\"x\\\"8642097\""}) {
      std::string text = "{\"amt\": 5, \"" + name + "\": " + value + ", \"b\": [1, 2]}";
      for (int wrapped = 0; wrapped < 3; ++wrapped) {
        for (size_t end = 0; end <= text.size(); ++end) {
          const std::string kept = cut_forbidden_fields(std::string_view(text).substr(0, end));
          ASSERT_EQ(kept.find("8642"), std::string::npos) << text.substr(0, end);
        }
        std::string quoted = "\"";
        for (const char c : text) {
          if (c == '"' || c == '\\') quoted += '\\';
          quoted += c;
        }
        text = quoted + "\"";
      }
    }
  }
}

TEST(ForbiddenFields, AreCutInProportionalTime) {
  for (const std::string piece : {"\"cvv\":", "\"cvv\":\"", "cvv ", "\\\"", "pin[", "\"pin\":[", "pin=", "c.", "pin (", "cvv is ", "cvv%3D", "\"name\":\"pin\",", "track 2"}) {
    std::string text;
    while (text.size() < 500000) text += piece;
    const auto start = std::chrono::steady_clock::now();
    cut_forbidden_fields(text);
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 20) << piece;
  }
}

// No group of a card number before a name, or behind one, is left where the others are cut.
TEST(ForbiddenFields, LeavesNumbersBesideNamesToTheMask) {
  const std::string number = "4111 1111 1111 1111";
  for (const std::string between : {" ", "-", "/", ".", "_", ", ", ": ", " #", "=", " is "}) {
    for (const std::string name : {"PIN 4739", "cvv 739", "CVC: 739", "track2", "PIN", "cvv2", "security code"}) {
      for (const std::string& text : {number + between + name, name + between + number}) {
        for (const std::string& kept : {redact(text, ""), redact_prose(text), redact_broken("{" + text, 1000), redact("{\"a\": \"" + text + "\"}", "")}) {
          EXPECT_EQ(kept.find("4111"), std::string::npos) << text << " is kept as " << kept;
          EXPECT_EQ(kept.find("1111 1111"), std::string::npos) << text << " is kept as " << kept;
        }
      }
    }
  }
}

// Where the layout is broken, what stands between groups is as JSON writes it, once or twice.
TEST(ForbiddenFields, MasksBehindEscapes) {
  for (const std::string between : {"\\t", "\\n", "\\r", "\\f", "\\b", "\\/", "\\u2009", "\\u00a0", "\\u00A0", "\\u2013", "\\u0020", "\\\\t", "\\\\u2009", "\\\\/", "\\\\\\\\n", "\\t\\t", "\\n\\t"}) {
    std::string number = "4111";
    for (int i = 0; i < 3; ++i) number += between + "1111";
    const std::string kept = redact_broken("[{\"memo\": \"" + number + "\", \"path\": \"C:\\\\x\\\"\"", 1000);
    EXPECT_EQ(kept.find("4111"), std::string::npos) << between << ": " << kept;
    EXPECT_NE(kept.find("C:\\\\x\\\""), std::string::npos) << kept;
  }
  EXPECT_EQ(redact_broken("\"\\u0663\\u00663\\ud83d\\ude00\\", 1000), "\"\xD9\xA3" "f3\\ud83d\\ude00\\");
}

// What people write: values go, whatever else stands there stays.
TEST(ForbiddenFields, KeepsProse) {
  const std::pair<const char*, const char*> kCases[] = {
      {"card cvv 739 and PIN: 4739", "[cut] and [cut]"},
      {"the CVV is 739, he said", "[cut], he said"},
      {"CVC2=\xEF\xBC\x97\xEF\xBC\x93\xEF\xBC\x99.", "[cut]."},
      {"security code: (739)", "[cut])"},
      {"PIN: wrong thrice, called back at 10:30", "PIN: wrong thrice, called back at 10:30"},
      {"cvv result M, PIN verified, pin code 560001", "cvv result M, PIN verified, pin code 560001"},
      {"it's \"cvv\", \"739\" he wrote\nid,cvv,amt\n1,2,3", "it's \"cvv\", \"739\" he wrote\nid,cvv,amt\n1,2,3"},
      {"track 2 of the album, 3 payments", "track 2 of the album, 3 payments"},
      {"4111 1111 1111 1111 cvv 739", "************1111 [cut]"},
      {"4111-1111-1111-1111-PIN 4739", "************1111-[cut]"},
      {"4111 1111 1111 1111/cvv/739", "************1111/cvv/739"}};
  for (const auto& [written, kept] : kCases) EXPECT_EQ(redact_prose(written), kept);
}

}  // namespace
}  // namespace fraud
