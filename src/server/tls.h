// Certificate and key for the server's side of TLS.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace plumb {

struct TlsContextFree {
  void operator()(ssl_ctx_st* context) const;
};
// What every TLS connection of a server starts from. Immutable once loaded, so thread-safe.
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextFree>;

// Reads a chain of certificates, the server's own first, and its key, both PEM, the key without a
// password. TLS 1.2 and newer. kInvalid: a file cannot be read, or they do not belong together;
// kCorrupt: what is in them.
Result<TlsContext> load_tls(const std::string& certificate, const std::string& key);

}  // namespace plumb
