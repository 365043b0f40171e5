// What the program's exit status says (docs/OPERATIONS.md), and the one way to end with an error.
#pragma once

#include <cstdio>

#include "base/result.h"

namespace plumb {

enum ExitCode : int {
  kExitOk = 0,
  kExitInternal = 1,     // our bug, or the device's
  kExitInvalid = 2,      // wrong usage or input
  kExitBadModel = 3,     // a file is missing or broken
  kExitDoesNotFit = 4,   // memory, or another limit of the machine
  kExitUnsupported = 5,  // valid, but not by this program
  kExitInterrupted = 130,
  // kExitFileFailed (base/mapped_file.h): a mapped file broke while in use
};

inline int exit_code(Code code) {
  switch (code) {
    case Code::kInvalid:
    case Code::kTooLong:
      return kExitInvalid;
    case Code::kNotFound:
    case Code::kCorrupt:
      return kExitBadModel;
    case Code::kExhausted:
      return kExitDoesNotFit;
    case Code::kUnsupported:
      return kExitUnsupported;
    case Code::kCancelled:
      return kExitInterrupted;
    case Code::kTimeout:
    case Code::kUnavailable:
    case Code::kInternal:
      return kExitInternal;
  }
  return kExitInternal;
}

// Prints the sentence and returns the status to end with.
inline int fail(const Error& error) {
  std::fprintf(stderr, "plumb: %s\n", error.message.c_str());
  return exit_code(error.code);
}

}  // namespace plumb
