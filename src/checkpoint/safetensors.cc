#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/json.h"

namespace plumb {
namespace {

constexpr std::uint64_t kLengthField = 8;
constexpr std::uint64_t kMaxJsonBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMaxRank = 8;
constexpr std::int64_t kMaxExtent = std::int64_t{1} << 53;  // what every JSON reader can carry
constexpr std::string_view kLfsStart = "version https://git-lfs.github.com/spec/";

struct TypeRow {
  std::string_view name;
  int bits;
  std::optional<Element> element;
};

// Every type name of the format; those without an Element are known but not used by any model here.
constexpr std::array<TypeRow, 22> kTypes = {{
    {"F32", 32, Element::kF32},       {"BF16", 16, Element::kBF16},
    {"F16", 16, Element::kF16},       {"F8_E4M3", 8, Element::kF8E4M3},
    {"F8_E8M0", 8, Element::kF8E8M0}, {"I64", 64, Element::kI64},
    {"I8", 8, Element::kI8},          {"U8", 8, Element::kU8},
    {"F64", 64, std::nullopt},        {"F8_E5M2", 8, std::nullopt},
    {"I32", 32, std::nullopt},        {"I16", 16, std::nullopt},
    {"U64", 64, std::nullopt},        {"U32", 32, std::nullopt},
    {"U16", 16, std::nullopt},        {"BOOL", 8, std::nullopt},
    {"C64", 64, std::nullopt},        {"F4", 4, std::nullopt},
    {"F6_E2M3", 6, std::nullopt},     {"F6_E3M2", 6, std::nullopt},
    {"F8_E4M3FNUZ", 8, std::nullopt}, {"F8_E5M2FNUZ", 8, std::nullopt},
}};

Error corrupt(std::string message) { return {Code::kCorrupt, std::move(message)}; }

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Names come from the file: quoted, and never longer than a line.
std::string quoted(std::string_view name) {
  constexpr std::size_t kMax = 120;
  if (name.size() <= kMax) return json_quote(name);
  std::size_t cut = kMax;
  while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) --cut;
  return json_quote(name.substr(0, cut)) + "...";
}

// Bytes of a tensor by shape and type; nullopt: beyond 2^63 bits or not a whole number of bytes.
std::optional<std::uint64_t> bytes_of(std::span<const std::int64_t> shape, int bits) {
  constexpr std::uint64_t kMax = std::uint64_t{1} << 62;
  std::uint64_t count = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) empty = empty || extent == 0;
  if (empty) return 0;
  for (const std::int64_t extent : shape) {
    const auto e = static_cast<std::uint64_t>(extent);
    if (count > kMax / e) return std::nullopt;
    count *= e;
  }
  const auto b = static_cast<std::uint64_t>(bits);
  if (count > kMax / b || count * b % 8 != 0) return std::nullopt;
  return count * b / 8;
}

// What went wrong inside one tensor's description; the caller adds file and tensor.
struct Fault {
  std::string text;
};
using MaybeFault = std::optional<Fault>;

MaybeFault read_shape(const Json* shape, std::vector<std::int64_t>& out) {
  if (shape == nullptr || !shape->is_array()) return Fault{"has no \"shape\" list"};
  if (shape->items().size() > kMaxRank) {
    return Fault{"has " + number(shape->items().size()) + " dimensions, expected at most " +
                 number(kMaxRank)};
  }
  for (const Json& item : shape->items()) {
    const auto extent = item.as_int();
    if (!extent || *extent < 0 || *extent > kMaxExtent) {
      return Fault{"has the dimension " + item.dump().substr(0, 40) +
                   " in its shape, expected a whole number from 0 to 2^53"};
    }
    out.push_back(*extent);
  }
  return std::nullopt;
}

MaybeFault read_offsets(const Json* offsets, std::uint64_t& begin, std::uint64_t& end) {
  if (offsets == nullptr || !offsets->is_array() || offsets->items().size() != 2) {
    return Fault{"has no \"data_offsets\" pair"};
  }
  const auto first = offsets->items()[0].as_int();
  const auto last = offsets->items()[1].as_int();
  if (!first || !last || *first < 0 || *last < *first) {
    return Fault{"has the data_offsets " + offsets->dump().substr(0, 80) +
                 ", expected two ascending byte positions"};
  }
  begin = static_cast<std::uint64_t>(*first);
  end = static_cast<std::uint64_t>(*last);
  return std::nullopt;
}

MaybeFault read_dtype(const Json* dtype, ShardTensor& tensor, int& bits) {
  if (dtype == nullptr || !dtype->is_string()) return Fault{"has no \"dtype\""};
  const auto row = std::find_if(kTypes.begin(), kTypes.end(),
                                [&](const TypeRow& r) { return r.name == dtype->text(); });
  if (row == kTypes.end()) {
    return Fault{"has the dtype " + quoted(dtype->text()) +
                 ", which is not a type of the safetensors format"};
  }
  tensor.dtype = dtype->text();
  tensor.element = row->element;
  bits = row->bits;
  return std::nullopt;
}

MaybeFault read_tensor(const Json& entry, std::uint64_t data_start, ShardTensor& tensor) {
  if (!entry.is_object()) return Fault{"is not described by an object"};
  for (const auto& [key, unused] : entry.members()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      return Fault{"has the unknown field " + quoted(key)};
    }
  }
  int bits = 0;
  std::uint64_t begin = 0, end = 0;
  if (auto fault = read_dtype(entry.find("dtype"), tensor, bits)) return fault;
  if (auto fault = read_shape(entry.find("shape"), tensor.shape)) return fault;
  if (auto fault = read_offsets(entry.find("data_offsets"), begin, end)) return fault;
  const auto want = bytes_of(tensor.shape, bits);
  if (!want) {
    return Fault{"has the shape " + shape_text(tensor.shape) + " of " + tensor.dtype +
                 ", which is no size a file can have"};
  }
  if (*want != end - begin) {
    return Fault{"spans " + number(end - begin) + " bytes, expected " + number(*want) + " for " +
                 tensor.dtype + " " + shape_text(tensor.shape)};
  }
  if (end > std::numeric_limits<std::uint64_t>::max() - data_start) {
    return Fault{"ends at byte " + number(end) + ", beyond any file"};
  }
  tensor.offset = data_start + begin;
  tensor.bytes = end - begin;
  return std::nullopt;
}

Status check_coverage(std::vector<ShardTensor>& tensors, std::uint64_t data_start,
                      std::uint64_t file_bytes, std::string_view what) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const ShardTensor& a, const ShardTensor& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  std::uint64_t next = data_start;
  for (const ShardTensor& t : tensors) {
    if (t.offset != next) {
      return corrupt(
          std::string(what) + ": tensor " + quoted(t.name) + " begins at data byte " +
          number(t.offset - data_start) + ", expected " + number(next - data_start) +
          (t.offset < next ? ": it overlaps the one before it." : ": there is a gap before it."));
    }
    next += t.bytes;
  }
  if (next > file_bytes) {
    return corrupt(std::string(what) + " is cut short: its header describes " + number(next) +
                   " bytes, the file has " + number(file_bytes) +
                   ". The download is incomplete; fetch the file again.");
  }
  if (next < file_bytes) {
    return corrupt(std::string(what) + " is longer than its header says: it has " +
                   number(file_bytes) + " bytes, expected " + number(next) + ".");
  }
  return {};
}

}  // namespace

bool is_lfs_pointer(std::span<const std::byte> head) {
  return as_text(head).substr(0, kLfsStart.size()) == kLfsStart;
}

Result<std::uint64_t> safetensors_json_bytes(std::span<const std::byte> head,
                                             std::uint64_t file_bytes, std::string_view what) {
  const std::string name(what);
  if (file_bytes == 0) return corrupt(name + " is empty. Fetch the file again.");
  if (is_lfs_pointer(head)) {
    return corrupt(name + " is a Git LFS pointer of " + number(file_bytes) +
                   " bytes, not the weights it stands for. Run `git lfs pull` in that directory.");
  }
  if (file_bytes < kLengthField || head.size() < kLengthField) {
    return corrupt(name + " has " + number(file_bytes) +
                   " bytes, expected a safetensors file of at least 8.");
  }
  std::uint64_t length = 0;
  for (std::size_t i = kLengthField; i-- > 0;) {
    length = length << 8 | static_cast<std::uint64_t>(head[i]);
  }
  if (length > kMaxJsonBytes) {
    return corrupt(name + " is not a safetensors file: its first 8 bytes ask for a header of " +
                   number(length) + " bytes, expected at most " + number(kMaxJsonBytes) + ".");
  }
  if (length > file_bytes - kLengthField) {
    return corrupt(name + " is cut short: its header takes " + number(length + kLengthField) +
                   " bytes, the file has " + number(file_bytes) +
                   ". The download is incomplete; fetch the file again.");
  }
  return length;
}

Result<ShardHeader> parse_safetensors(std::span<const std::byte> head, std::uint64_t file_bytes,
                                      std::string_view what) {
  PLUMB_TRY(length, safetensors_json_bytes(head, file_bytes, what));
  if (head.size() - kLengthField < length) {
    return Error{Code::kInternal, std::string(what) + ": only " + number(head.size()) +
                                      " bytes of its header were read."};
  }
  const std::string_view text = as_text(head.subspan(kLengthField, length));
  if (text.empty() || text.front() != '{') {
    return corrupt(std::string(what) +
                   " is not a safetensors file: its header does not begin with '{'.");
  }
  const JsonLimits limits{.max_depth = 4, .max_bytes = kMaxJsonBytes};
  PLUMB_TRY(json, parse_json(text, std::string("The header of ") + std::string(what), limits));
  ShardHeader header;
  header.header_bytes = kLengthField + length;
  header.tensors.reserve(json.members().size());
  for (const auto& [name, entry] : json.members()) {
    if (name == "__metadata__") {
      if (entry.is_object()) continue;  // free text about the file's origin: not used
      return corrupt(std::string(what) + ": \"__metadata__\" is not an object.");
    }
    ShardTensor tensor;
    tensor.name = name;
    if (const auto fault = read_tensor(entry, header.header_bytes, tensor)) {
      return corrupt(std::string(what) + ": tensor " + quoted(name) + " " + fault->text + ".");
    }
    header.tensors.push_back(std::move(tensor));
  }
  PLUMB_TRY_STATUS(check_coverage(header.tensors, header.header_bytes, file_bytes, what));
  return header;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace plumb
