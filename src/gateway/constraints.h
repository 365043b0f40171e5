// Contracts as grammars that run, made once for all requests with the same.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "gateway/provider.h"
#include "grammar/machine.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace plumb {

// Thread-safe. Makes grammars on the caller's thread, one at a time for each contract; others wait
// for nothing. Keeps those that were used last, within a bound of memory.
class Constraints {
 public:
  // `format` may be null: then there are no conversations. Both must outlive this. Masks have
  // `vocab_size` tokens, the model's.
  Constraints(const Tokenizer& tokenizer, const ChatFormat* format, int vocab_size);

  // Null: any reply keeps the contract. kInvalid and kUnsupported say what is wrong. Whether the
  // reply starts in reasoning is what the rendered prompt says.
  Result<std::shared_ptr<grammar::Machine>> machine(const Prompt& prompt, const Contract& contract,
                                                    bool starts_in_reasoning);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<grammar::Machine> machine;
  };

  std::shared_ptr<const grammar::Vocabulary> vocabulary();
  Result<std::shared_ptr<grammar::Machine>> make(const Prompt& prompt, const Contract& contract,
                                                 bool starts_in_reasoning);
  void drop_old();

  const Tokenizer& tokenizer_;
  const ChatFormat* format_;
  const int vocab_size_;
  std::once_flag once_;
  std::shared_ptr<const grammar::Vocabulary> vocabulary_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // the one used last first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace plumb
