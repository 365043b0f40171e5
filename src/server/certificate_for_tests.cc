#include "server/certificate_for_tests.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <memory>

#include "base/check.h"

namespace plumb {
namespace {

constexpr long kDay = 24 * 60 * 60;

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using File = std::unique_ptr<std::FILE, Free>;

// Signed by its own key, valid from yesterday to tomorrow.
Certificate sign(EVP_PKEY* key) {
  Certificate certificate(X509_new());
  PLUMB_CHECK(certificate != nullptr);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kDay);
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  const auto* const common = reinterpret_cast<const unsigned char*>("localhost");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  PLUMB_CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  PLUMB_CHECK(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
  return certificate;
}

}  // namespace

CertificateFiles make_certificate(const std::filesystem::path& directory, const std::string& name,
                                  const std::string& password) {
  const Key key(EVP_EC_gen("P-256"));
  PLUMB_CHECK(key != nullptr);
  const Certificate certificate = sign(key.get());
  const CertificateFiles out{(directory / (name + ".crt")).string(),
                             (directory / (name + ".key")).string()};
  const File certificate_file(std::fopen(out.certificate.c_str(), "w"));
  const File key_file(std::fopen(out.key.c_str(), "w"));
  PLUMB_CHECK(certificate_file != nullptr && key_file != nullptr);
  PLUMB_CHECK(PEM_write_X509(certificate_file.get(), certificate.get()) == 1);
  const EVP_CIPHER* const cipher = password.empty() ? nullptr : EVP_aes_128_cbc();
  PLUMB_CHECK(PEM_write_PKCS8PrivateKey(key_file.get(), key.get(), cipher, password.data(),
                                        static_cast<int>(password.size()), nullptr, nullptr) == 1);
  return out;
}

}  // namespace plumb
