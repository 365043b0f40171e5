#include "server/api_keys.h"

#include <gtest/gtest.h>

#include <cctype>

#include "base/digest.h"
#include "base/strings.h"

namespace plumb {
namespace {

using Verdict = ApiKeys::Verdict;

constexpr const char* kAliceKey = "plumb-alice-0123456789";
constexpr const char* kBobKey = "plumb-bob-abcdefghijkl";

ApiKeyOptions key(std::string name, std::string_view secret, Scopes scopes = {Scope::kInference}) {
  return {std::move(name), sha256_hex(secret), scopes, {}};
}

ApiKeys two_keys() {
  auto bob = key("bob", kBobKey, {Scope::kMetrics, Scope::kAdmin});
  bob.limits = {2, 60, 10000};
  auto keys = ApiKeys::create({key("alice", kAliceKey), bob});
  EXPECT_TRUE(keys);
  return *keys;
}

HttpRequest request(HttpHeaders headers, std::string peer = "203.0.113.7") {
  HttpRequest out;
  out.headers = std::move(headers);
  out.peer = std::move(peer);
  return out;
}

TEST(ApiKeys, AreFoundByTheKeyItself) {
  const ApiKeys keys = two_keys();
  ASSERT_NE(keys.find(kAliceKey), nullptr);
  EXPECT_EQ(keys.find(kAliceKey)->name, "alice");
  const ApiKey* bob = keys.find(kBobKey);
  ASSERT_NE(bob, nullptr);
  EXPECT_EQ(bob->index, 1u);
  EXPECT_EQ(bob->limits, (KeyLimits{2, 60, 10000}));
  EXPECT_EQ(&keys.at(1), bob);
  EXPECT_EQ(keys.size(), 2u);
}

TEST(ApiKeys, NothingElseIsAKey) {
  const ApiKeys keys = two_keys();
  const std::string alice(kAliceKey);
  for (const std::string& other :
       {std::string(), alice + "x", alice.substr(1), std::string("PLUMB-ALICE-0123456789"),
        sha256_hex(kAliceKey), std::string("alice"), std::string(1 << 20, 'x'),
        alice + std::string(1, '\0')}) {
    EXPECT_EQ(keys.find(other), nullptr) << other.substr(0, 80);
  }
}

TEST(ApiKeys, ADigestMayBeWrittenInUpperCase) {
  auto upper = key("a", kAliceKey);
  for (char& c : upper.sha256) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const auto keys = ApiKeys::create({upper});
  ASSERT_TRUE(keys);
  EXPECT_NE(keys->find(kAliceKey), nullptr);
}

TEST(ApiKeys, AConfigurationThatCannotBeMeantIsNamed) {
  const ApiKeyOptions good = key("alice", kAliceKey);
  const auto with = [&](auto change) {
    ApiKeyOptions out = good;
    change(out);
    return std::vector<ApiKeyOptions>{out};
  };
  struct Case {
    std::vector<ApiKeyOptions> options;
    const char* says;
  };
  const Case cases[] = {
      {with([](auto& k) { k.name = ""; }), "has the name \"\""},
      {with([](auto& k) { k.name = "a b"; }), "has the name \"a b\""},
      {with([](auto& k) { k.name = std::string(65, 'a'); }), "expected 1 to 64"},
      {with([](auto& k) { k.sha256 = "12"; }), "\"alice\" has a sha256 of 2 characters"},
      {with([](auto& k) { k.sha256[5] = 'g'; }), "\"alice\" has a sha256"},
      {with([](auto& k) { k.scopes = {}; }), "\"alice\" has no scopes"},
      {with([](auto& k) { k.limits.max_parallel = -1; }), "max_parallel -1"},
      {with([](auto& k) { k.limits.requests_per_minute = -2; }), "requests_per_minute -2"},
      {with([](auto& k) { k.limits.tokens_per_minute = -3; }), "tokens_per_minute -3"},
      {{good, key("alice", kBobKey)}, "Two API keys have the name \"alice\""},
      {{good, key("bob", kAliceKey)}, "\"alice\" and \"bob\" are the same key"},
  };
  for (const Case& c : cases) {
    const auto keys = ApiKeys::create(c.options);
    ASSERT_FALSE(keys) << c.says;
    EXPECT_EQ(keys.error().code, Code::kInvalid);
    EXPECT_NE(keys.error().message.find(c.says), std::string::npos) << keys.error().message;
  }
}

TEST(ApiKeys, AnUnusableKeyIsRefusedWithoutShowingIt) {
  const std::string exact(16, 'k');
  ASSERT_TRUE(api_key_digest("a", exact));
  EXPECT_EQ(*api_key_digest("a", exact), sha256_hex(exact));
  EXPECT_TRUE(api_key_digest("a", std::string(512, 'k')));
  for (const std::string& bad :
       {std::string("hunter2"), std::string(513, 'k'), std::string("with space 0123456789"),
        std::string("with\nnewline 0123456789"), std::string("umlaut-\xc3\xa4-0123456789")}) {
    const auto digest = api_key_digest("ci", bad);
    ASSERT_FALSE(digest) << bad;
    EXPECT_NE(digest.error().message.find("\"ci\""), std::string::npos);
    EXPECT_EQ(digest.error().message.find(bad), std::string::npos) << digest.error().message;
  }
}

TEST(ApiKeys, ThreeHeadersCarryAKey) {
  struct Case {
    HttpHeaders headers;
    const char* expected;
  };
  const Case cases[] = {
      {{}, ""},
      {{{"authorization", "Bearer k1"}}, "k1"},
      {{{"authorization", "bearer  k1 "}}, "k1"},
      {{{"authorization", "BEARER k1"}}, "k1"},
      {{{"authorization", "Bearer"}}, ""},
      {{{"authorization", "Bearer "}}, ""},
      {{{"authorization", "Bearerk1"}}, ""},
      {{{"authorization", "Basic azE6"}}, ""},
      {{{"authorization", "Basic azE6"}, {"x-api-key", "k2"}}, "k2"},
      {{{"x-api-key", " k2"}}, "k2"},
      {{{"api-key", "k3"}}, "k3"},
      {{{"api-key", "k3"}, {"x-api-key", "k2"}}, "k2"},
      {{{"api-key", "k3"}, {"authorization", "Bearer k1"}}, "k1"},
      {{{"x-other", "k4"}}, ""},
  };
  for (const Case& c : cases) EXPECT_EQ(presented_key(request(c.headers)), c.expected);
}

TEST(ApiKeys, EachVerdictHasItsCause) {
  const ApiKeys keys = two_keys();
  const std::string alice = str("Bearer ", kAliceKey), bob = str("Bearer ", kBobKey);
  struct Case {
    const char* sent;
    Scope scope;
    Verdict verdict;
    const char* name;  // of the key, or null
  };
  const Case cases[] = {
      {"", Scope::kInference, Verdict::kMissing, nullptr},
      {"Bearer wrong", Scope::kInference, Verdict::kUnknown, nullptr},
      {alice.c_str(), Scope::kInference, Verdict::kGranted, "alice"},
      {alice.c_str(), Scope::kMetrics, Verdict::kForbidden, "alice"},
      {alice.c_str(), Scope::kAdmin, Verdict::kForbidden, "alice"},
      {bob.c_str(), Scope::kInference, Verdict::kForbidden, "bob"},
      {bob.c_str(), Scope::kMetrics, Verdict::kGranted, "bob"},
      {bob.c_str(), Scope::kAdmin, Verdict::kGranted, "bob"},
  };
  for (const Case& c : cases) {
    // With keys, where a client connects from does not matter.
    for (const char* peer : {"127.0.0.1", "203.0.113.7"}) {
      const auto access = keys.access(request({{"authorization", c.sent}}, peer), c.scope);
      EXPECT_EQ(access.verdict, c.verdict) << c.sent << " " << to_string(c.scope);
      EXPECT_EQ(access.key ? access.key->name : "", c.name ? c.name : "");
    }
  }
}

TEST(ApiKeys, WithoutKeysOnlyThisMachineIsServed) {
  const ApiKeys none;
  EXPECT_TRUE(none.open());
  EXPECT_FALSE(two_keys().open());
  for (const Scope scope : {Scope::kInference, Scope::kMetrics}) {
    EXPECT_EQ(none.access(request({}, "127.0.0.1"), scope).verdict, Verdict::kGranted);
    EXPECT_EQ(none.access(request({}, "203.0.113.7"), scope).verdict, Verdict::kRemote);
    // Clients that must send some key may send any.
    EXPECT_EQ(none.access(request({{"x-api-key", "any"}}, "::1"), scope).verdict,
              Verdict::kGranted);
  }
  EXPECT_EQ(none.access(request({}, "127.0.0.1"), Scope::kAdmin).verdict, Verdict::kMissing);
}

TEST(ApiKeys, LoopbackIsKnownInItsSpellings) {
  for (const char* peer : {"127.0.0.1", "127.9.8.7:5000", "::1", "[::1]:5000", "::ffff:127.0.0.1",
                           "[::ffff:127.0.0.1]:80"}) {
    EXPECT_TRUE(is_loopback(peer)) << peer;
  }
  for (const char* peer : {"", "10.0.0.1", "12.7.0.1", "::10", "::1:2", "[::1:2]:80", "[::2]:80",
                           "::ffff:10.0.0.1", "localhost", "1127.0.0.1"}) {
    EXPECT_FALSE(is_loopback(peer)) << peer;
  }
}

TEST(ApiKeys, EveryVerdictButOneIsASentence) {
  EXPECT_EQ(explain(Verdict::kGranted, Scope::kAdmin), "");
  for (const Verdict verdict :
       {Verdict::kMissing, Verdict::kUnknown, Verdict::kForbidden, Verdict::kRemote}) {
    EXPECT_EQ(explain(verdict, Scope::kMetrics).back(), '.');
  }
  EXPECT_NE(explain(Verdict::kForbidden, Scope::kMetrics).find("\"metrics\""), std::string::npos);
}

}  // namespace
}  // namespace plumb
