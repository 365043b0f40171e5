// Any bytes as a safetensors file: a header whose every tensor lies inside the file, each byte of
// the data belonging to exactly one, or a refusal that is a sentence.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "checkpoint/safetensors.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const plumb::ShardHeader& header, std::uint64_t file_bytes) {
  std::uint64_t next = header.header_bytes;
  for (const plumb::ShardTensor& t : header.tensors) {
    require(t.offset == next && t.bytes <= file_bytes - t.offset);
    require(!t.dtype.empty());
    for (const std::int64_t extent : t.shape) require(extent >= 0);
    next += t.bytes;
  }
  require(next == file_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto header = plumb::parse_safetensors(bytes, size, "input");
  if (header) {
    check(*header, size);
  } else {
    require(header.error().code == plumb::Code::kCorrupt);
    require(!header.error().message.empty() && header.error().message.back() == '.');
  }
  // The input again as the JSON alone, so that the fuzzer need not keep the length right.
  std::string file(8, '\0');
  for (int i = 0; i < 8; ++i)
    file[static_cast<std::size_t>(i)] = static_cast<char>(size >> (8 * i));
  file.append(reinterpret_cast<const char*>(data), size);
  file.append(64, '\0');
  const auto json = plumb::parse_safetensors(std::as_bytes(std::span(file)), file.size(), "input");
  if (json) check(*json, file.size());
  return 0;
}
