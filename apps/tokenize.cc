// plumb tokenize: text as the model's tokens, and back.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/stack.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace plumb {
namespace {

struct TokenizeOptions {
  std::string model, file;
  std::optional<std::string> text;
  bool json = false, pieces = false, count = false, decode = false, trusted = false;
};

// Ids separated by blanks, commas, brackets: what this program prints, in any of its forms.
Result<std::vector<Token>> parse_ids(std::string_view text, int vocab) {
  std::vector<Token> ids;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t\r\n,[]", at)) != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n,[]", at), text.size());
    const std::string_view word = text.substr(at, end - at);
    Token id = -1;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || stop != word.data() + word.size() || id < 0 || id >= vocab) {
      return Error{Code::kInvalid,
                   str("\"", word.substr(0, 40), "\" is not a token, expected ids from 0 to ",
                       vocab - 1, ".")};
    }
    ids.push_back(id);
    at = end;
  }
  return ids;
}

void print_ids(const TokenizeOptions& options, const Tokenizer& tokenizer,
               const std::vector<Token>& ids) {
  if (options.json) {
    std::vector<Json> items, pieces;
    for (const Token id : ids) {
      items.push_back(Json::integer(id));
      pieces.push_back(Json::string(replace_invalid_utf8(tokenizer.bytes(id))));
    }
    Json out = Json::object({{"count", Json::integer(static_cast<std::int64_t>(ids.size()))},
                             {"tokens", Json::array(std::move(items))}});
    if (options.pieces) out.set("pieces", Json::array(std::move(pieces)));
    std::printf("%s\n", out.dump().c_str());
  } else if (options.count) {
    std::printf("%zu\n", ids.size());
  } else if (options.pieces) {
    for (const Token id : ids) {
      std::printf("%d\t%s\n", id, json_quote(replace_invalid_utf8(tokenizer.bytes(id))).c_str());
    }
  } else {
    for (std::size_t i = 0; i < ids.size(); ++i) std::printf(i == 0 ? "%d" : " %d", ids[i]);
    std::printf("\n");
  }
}

int run_tokenize(const TokenizeOptions& options) {
  auto tokenizer = open_tokenizer(options.model);
  if (!tokenizer) return fail(tokenizer.error());
  Result<std::string> text =
      options.text
          ? Result<std::string>(*options.text)
          : read_file(options.file.empty() || options.file == "-" ? "/dev/stdin" : options.file);
  if (!text) return fail(text.error());
  if (options.decode) {
    const auto ids = parse_ids(*text, (*tokenizer)->vocab_size());
    if (!ids) return fail(ids.error());
    for (const Token id : *ids) {
      const std::string_view bytes = (*tokenizer)->bytes(id);
      std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    }
    return kExitOk;
  }
  std::vector<Token> ids;
  if (options.trusted) {
    (*tokenizer)->encode_trusted(*text, ids);
  } else {
    (*tokenizer)->encode(*text, ids);
  }
  print_ids(options, **tokenizer, ids);
  return kExitOk;
}

}  // namespace

void add_tokenize(CLI::App& app, int& status) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "Show text as the model's tokens, and back.");
  command->add_option("TEXT", options->text, "The text (default: stdin)");
  command->add_option("-f,--file", options->file, "Read the text from a file");
  command->add_option("--model", options->model, "Model directory (default: the bundled model)");
  command->add_flag("--pieces", options->pieces, "One token per line with the bytes it stands for");
  command->add_flag("--count", options->count, "Only how many");
  command->add_flag("--decode", options->decode, "The other way: token ids in, bytes out");
  command->add_flag(
      "--control", options->trusted,
      "Control tokens spelled in the text become their ids; without this no text can become one");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Examples:\n  plumb tokenize \"Hello\"\n  plumb tokenize --pieces -f poem.txt\n  plumb "
      "tokenize --decode \"72 101\"");
  command->callback([options, &status] { status = run_tokenize(*options); });
}

}  // namespace plumb
