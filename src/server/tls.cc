#include "server/tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/strings.h"

namespace plumb {
namespace {

// The last thing OpenSSL said, and its queue emptied.
std::string reason() {
  std::string out = "no reason given";
  while (const unsigned long code = ERR_get_error()) {
    const char* text = ERR_reason_error_string(code);
    if (text != nullptr) out = text;
  }
  return out;
}

Status readable(const std::string& path, std::string_view what) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return Error{Code::kInvalid,
                 str("The TLS ", what, " ", path, " cannot be read: ", ::strerror(errno), ".")};
  }
  ::close(file);
  return {};
}

// A key with a password would make OpenSSL ask on the terminal, where nobody sits.
int no_password(char*, int, int, void*) { return 0; }

// Of what the client offers, HTTP/1.1; a client that offers other things only may try without.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void*) {
  constexpr std::string_view kOurs = "http/1.1";
  for (unsigned at = 0; at < in_size; at += 1 + in[at]) {
    const std::string_view offered(reinterpret_cast<const char*>(in + at + 1), in[at]);
    if (offered != kOurs) continue;
    *out = in + at + 1;
    *out_size = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

void TlsContextFree::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<TlsContext> load_tls(const std::string& certificate, const std::string& key) {
  PLUMB_TRY_STATUS(readable(certificate, "certificate"));
  PLUMB_TRY_STATUS(readable(key, "key"));
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return Error{Code::kInternal, str("OpenSSL cannot be set up: ", reason(), ".")};
  }
  // Renegotiation lets a client make the server compute; compression lets others guess contents.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_default_passwd_cb(context.get(), no_password);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1) {
    return Error{Code::kCorrupt, str("The TLS certificate ", certificate,
                                     " is no chain of PEM certificates: ", reason(), ".")};
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const std::string why = reason();
    if (why.find("mismatch") != why.npos) {
      return Error{Code::kInvalid, str("The TLS key ", key, " does not belong to the certificate ",
                                       certificate, ": ", why, ".")};
    }
    return Error{Code::kCorrupt,
                 str("The TLS key ", key, " is no PEM key without a password: ", why, ".")};
  }
  if (SSL_CTX_check_private_key(context.get()) != 1) {
    return Error{Code::kInvalid, str("The TLS key ", key, " does not belong to the certificate ",
                                     certificate, ": ", reason(), ".")};
  }
  return context;
}

}  // namespace plumb
