// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/engine/tokenizer.h"

namespace desk::local {

Tokenizer::Tokenizer(HfTokenizer tables)
    : m_tables(std::move(tables))
{
}

Result<Tokenizer> Tokenizer::parse(std::string_view json)
{
    auto tables = parseHfTokenizer(json);
    if (!tables)
        return tables.error();
    if (tables->mergeCount > 0)
        return Error { Error::Code::Refused,
            "tokenizer.json: its tokens are merged from several bytes",
            "Text cannot be turned into tokens",
            "Send token ids, or use a model whose tokens are single bytes", {} };
    return Tokenizer(std::move(*tables));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const
{
    std::vector<std::int32_t> tokens;
    tokens.reserve(text.size());
    for (const char c : text)
        tokens.push_back(m_tables.byteIds[static_cast<unsigned char>(c)]);
    return tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const
{
    std::string text;
    for (const std::int32_t token : tokens) {
        if (token < 0 || static_cast<std::size_t>(token) >= m_tables.tokens.size())
            continue;
        const std::string& bytes = m_tables.tokens[static_cast<std::size_t>(token)];
        const auto special = m_tables.specials.find(bytes);
        if (special == m_tables.specials.end() || special->second != token)
            text += bytes;
    }
    return text;
}

} // namespace desk::local
