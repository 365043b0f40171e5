// Arbitrary replies through the reply reader: the deltas join to the same whatever the cutting, no
// call passes for complete unless it is, and nothing crashes.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "fakes/byte_tokenizer.h"
#include "text/reply_test_data.h"

namespace {

using plumb::chat_tests::Reply;
using plumb::chat_tests::ReplyPiece;

// Bytes above 0xc0 stand for markup, so that the fuzzer soon writes whole calls.
constexpr std::string_view kWords[] = {"\n\n<",
                                       "</",
                                       "tool_calls",
                                       ">\n",
                                       "invoke",
                                       " name=\"",
                                       "\">",
                                       "parameter",
                                       "\">\n",
                                       "\" string=\"true\">",
                                       "\" string=\"false\">",
                                       "温",
                                       "<",
                                       "\xe6\xb8",
                                       "[1, 2]",
                                       "\xff",
                                       "\"",
                                       "toolcalls"};
constexpr std::string_view kControls[] = {plumb::deepseek_v4::kDsml,  plumb::deepseek_v4::kDsml,
                                          plumb::deepseek_v4::kThink, plumb::deepseek_v4::kEndThink,
                                          plumb::deepseek_v4::kUser,  plumb::deepseek_v4::kEos};

std::vector<ReplyPiece> pieces_from(const std::uint8_t* data, std::size_t size) {
  std::vector<ReplyPiece> pieces;
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint8_t byte = data[i];
    const bool control = byte >= 0xf0;
    if (control || pieces.empty() || pieces.back().control) pieces.push_back({control, {}});
    if (control) {
      pieces.back().text = kControls[byte % std::size(kControls)];
    } else if (byte >= 0xc0) {
      pieces.back().text += kWords[(byte - 0xc0u) % std::size(kWords)];
    } else {
      pieces.back().text += static_cast<char>(byte);
    }
  }
  return pieces;
}

void check_calls(const Reply& reply) {
  for (std::size_t i = 0; i < reply.calls.size(); ++i) {
    const plumb::Result<plumb::Json> arguments =
        plumb::parse_json(reply.calls[i].arguments, "arguments");
    const bool unfinished =
        std::count(reply.unfinished.begin(), reply.unfinished.end(), static_cast<int>(i)) > 0;
    PLUMB_CHECK(arguments.has_value() != unfinished);
    PLUMB_CHECK(!arguments || arguments->is_object());
    PLUMB_CHECK(!reply.calls[i].name.empty() && !reply.calls[i].id.empty());
  }
  PLUMB_CHECK(reply.unfinished.empty() || reply.lost_markup);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static plumb::fakes::ByteTokenizer tokenizer = plumb::fakes::deepseek_v4_byte_tokenizer();
  const bool thinking = data[0] & 1;
  std::uint32_t seed = data[0] * 256u + data[1];
  const auto next_size = [&seed] {
    seed = seed * 1664525u + 1013904223u;
    return std::size_t{1} + (seed >> 24) % 7;
  };
  const std::vector<ReplyPiece> pieces = pieces_from(data + 2, size - 2);
  const Reply whole =
      plumb::chat_tests::read_reply(tokenizer, pieces, thinking, [] { return std::string::npos; });
  PLUMB_CHECK(whole == plumb::chat_tests::read_reply(tokenizer, pieces, thinking, next_size));
  PLUMB_CHECK(whole == plumb::chat_tests::read_reply(tokenizer, pieces, thinking));
  PLUMB_CHECK(plumb::complete_utf8_prefix(whole.content) == whole.content.size());
  PLUMB_CHECK(plumb::replace_invalid_utf8(whole.content) == whole.content);
  check_calls(whole);
  return 0;
}
