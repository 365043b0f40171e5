// Speed of the tokenizer on the published DeepSeek-V4 vocabulary, per core.
// Cold: a tokenizer encodes one text, once. bytes_per_second is per second of processor time.
#include <benchmark/benchmark.h>

#include "text/v4_tokenizer_for_tests.h"

namespace plumb {
namespace {

const std::string& v4_json() {
  static const std::string json = v4_tokenizer_json();
  return json;
}

std::unique_ptr<const Tokenizer> fresh_tokenizer() {
  auto loaded = Tokenizer::load(v4_json());
  PLUMB_CHECK(loaded.has_value());
  return *std::move(loaded);
}

void load(benchmark::State& state) {
  v4_json();
  for (auto _ : state) benchmark::DoNotOptimize(fresh_tokenizer());
}
BENCHMARK(load)->Unit(benchmark::kMillisecond);

constexpr int kRounds = 5;

// Each round has a tokenizer of its own, loaded before and never used.
void encode_cold(benchmark::State& state, const std::string& text) {
  std::vector<std::unique_ptr<const Tokenizer>> tokenizers;
  for (int i = 0; i < kRounds; ++i) tokenizers.push_back(fresh_tokenizer());
  std::size_t round = 0;
  for (auto _ : state) {
    std::vector<Token> ids;
    tokenizers.at(round++)->encode(text, ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(round * text.size()));
}

// One piece of a megabyte: its speed may not be far below that of the text it is made from.
std::string repeated(std::string_view unit) {
  std::string out;
  while (out.size() < 1000000) out += unit;
  return out;
}

// The Chinese characters of a text without anything between them, again and again.
std::string eastern_run(std::string_view text) {
  std::string run;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    if (step.code >= 0x4E00 && step.code <= 0x9FA5) run += text.substr(at, step.length);
    at += step.length;
  }
  return repeated(run);
}

void add(const char* name, std::string text) {
  benchmark::RegisterBenchmark(
      name, [text = std::move(text)](benchmark::State& state) { encode_cold(state, text); })
      ->Iterations(kRounds)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace plumb

int main(int argc, char** argv) {
  using namespace plumb;
  add("cold/english", test_data("texts/alice.en.txt"));
  add("cold/italian", test_data("texts/promessi_sposi.it.txt"));
  add("cold/chinese", test_data("texts/xiyouji.zh.txt"));
  add("cold/one_letter_1MB", repeated("a"));
  add("cold/one_character_1MB", repeated("中"));
  add("cold/chinese_run_1MB", eastern_run(test_data("texts/xiyouji.zh.txt")));
  add("cold/spaces_1MB", repeated(" "));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
