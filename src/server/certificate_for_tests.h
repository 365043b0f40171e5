// A certificate that nobody vouches for, made on the spot.
#pragma once

#include <filesystem>
#include <string>

namespace plumb {

struct CertificateFiles {
  std::string certificate, key;  // PEM files
};

// Writes `name`.crt and `name`.key into `directory`. `password` encrypts the key unless empty.
CertificateFiles make_certificate(const std::filesystem::path& directory, const std::string& name,
                                  const std::string& password = {});

}  // namespace plumb
