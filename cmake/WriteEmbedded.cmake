# cmake -DIN=file -DOUT=file.cc -DFUNCTION=name -DHEADER=x.h -P this
# Bytes as numbers: no text can end or change them.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include \"${HEADER}\"

namespace plumb {

static constexpr unsigned char kBytes[] = {
${bytes}};

std::string_view ${FUNCTION}() {
  return {reinterpret_cast<const char*>(kBytes), sizeof(kBytes)};
}

}  // namespace plumb
")
