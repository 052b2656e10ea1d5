// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/hf_codec.h"
#include "services/core/result.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace desk::local {

/// Text to tokens and back for a byte-level tokenizer without merges: every byte is one token.
/// Immutable; any thread.
class Tokenizer
{
public:
    /// From the text of tokenizer.json; Refused with the reason when it is another kind.
    [[nodiscard]] static Result<Tokenizer> parse(std::string_view json);

    [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const;
    /// Special tokens and ids without a token give no text. The bytes need not be valid UTF-8.
    [[nodiscard]] std::string decode(std::span<const std::int32_t> tokens) const;

private:
    explicit Tokenizer(HfTokenizer tables);
    HfTokenizer m_tables;
};

} // namespace desk::local
