// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/hf_codec.h"
#include "services/codecs/json_text.h"

#include <nlohmann/json.hpp>

// The alphabet of byte-level BPE (openai/gpt-2, encoder.py, bytes_to_unicode): printable bytes of
// Latin-1 stand for themselves, the others for U+0100 and up in order.

namespace desk {
namespace {
    using TokenizerJson = nlohmann::json;
    using TokenizerOrdered = nlohmann::ordered_json;

    constexpr std::size_t kMaxTokenizerTokens = std::size_t { 1 } << 20;

    Error tokenizerError(Error::Code code, const std::string& what)
    {
        return { code, "tokenizer.json: " + what, "Text cannot be turned into tokens",
            "Use a model whose tokenizer is byte-level BPE", {} };
    }

    std::array<char32_t, 256> byteAlphabet()
    {
        std::array<char32_t, 256> letters {};
        char32_t next = 256;
        for (char32_t byte = 0; byte < 256; ++byte) {
            const bool isPrintable =
                (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
            letters[byte] = isPrintable ? byte : next++;
        }
        return letters;
    }

    std::string utf8Of(char32_t letter)
    {
        if (letter < 0x80)
            return std::string(1, static_cast<char>(letter));
        return { static_cast<char>(0xC0 | (letter >> 6)), static_cast<char>(0x80 | (letter & 63)) };
    }

    // nullopt for a letter that is not in the alphabet; all of them take one or two bytes.
    std::optional<std::string> bytesOfToken(
        std::string_view token, const std::map<char32_t, char>& byteOf)
    {
        std::string bytes;
        for (std::size_t i = 0; i < token.size();) {
            const auto lead = static_cast<unsigned char>(token[i++]);
            char32_t letter = lead;
            if (lead >= 0x80) {
                if ((lead & 0xE0) != 0xC0 || i >= token.size())
                    return std::nullopt;
                letter = (char32_t { lead } & 31) << 6
                    | (char32_t { static_cast<unsigned char>(token[i++]) } & 63);
            }
            const auto found = byteOf.find(letter);
            if (found == byteOf.end())
                return std::nullopt;
            bytes += found->second;
        }
        return bytes;
    }

    Status placeToken(HfTokenizer& tokenizer, const TokenizerJson& id, std::string text)
    {
        if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kMaxTokenizerTokens)
            return tokenizerError(Error::Code::Malformed, "an id is not a number below 2^20");
        const auto at = id.get<std::size_t>();
        if (at >= tokenizer.tokens.size())
            tokenizer.tokens.resize(at + 1);
        if (!tokenizer.tokens[at].empty() && tokenizer.tokens[at] != text)
            return tokenizerError(Error::Code::Malformed, "an id has two tokens");
        tokenizer.tokens[at] = std::move(text);
        return done();
    }

    Status readVocabulary(const TokenizerJson& vocabulary, HfTokenizer& tokenizer)
    {
        std::map<char32_t, char> byteOf;
        const auto letters = byteAlphabet();
        for (std::size_t byte = 0; byte < 256; ++byte)
            byteOf.emplace(letters[byte], static_cast<char>(byte));
        tokenizer.byteIds.fill(-1);
        for (const auto& [token, id] : vocabulary.items()) {
            auto bytes = bytesOfToken(token, byteOf);
            if (!bytes)
                return tokenizerError(Error::Code::Refused, "its vocabulary is not byte-level");
            const bool isByte = bytes->size() == 1;
            const auto byte = isByte ? static_cast<unsigned char>(bytes->front()) : 0U;
            if (const Status placed = placeToken(tokenizer, id, std::move(*bytes)); !placed)
                return placed;
            if (isByte)
                tokenizer.byteIds[byte] = id.get<std::int32_t>();
        }
        for (const std::int32_t id : tokenizer.byteIds)
            if (id < 0)
                return tokenizerError(Error::Code::Refused, "not every byte has a token");
        return done();
    }

    Status readAddedTokens(const TokenizerJson& json, HfTokenizer& tokenizer)
    {
        const auto added = json.find("added_tokens");
        if (added == json.end() || added->is_null())
            return done();
        if (!added->is_array())
            return tokenizerError(Error::Code::Malformed, "added_tokens must be a list");
        for (const TokenizerJson& token : *added) {
            if (!token.is_object() || !token.contains("content") || !token["content"].is_string()
                || !token.contains("id"))
                return tokenizerError(
                    Error::Code::Malformed, "an added token lacks its id or content");
            auto content = token["content"].get<std::string>();
            if (content.empty())
                return tokenizerError(Error::Code::Malformed, "an added token is empty");
            if (const Status placed = placeToken(tokenizer, token["id"], content); !placed)
                return placed;
            tokenizer.specials.emplace(std::move(content), token["id"].get<std::int32_t>());
        }
        return done();
    }
} // namespace

Result<HfTokenizer> parseHfTokenizer(std::string_view text)
{
    const JsonLimits limits { std::size_t { 32 } << 20, 16, 8'000'000, kMaxTokenizerTokens };
    if (const Status bounds = checkJsonBounds(text, limits); !bounds)
        return tokenizerError(Error::Code::Malformed, bounds.error().message);
    const TokenizerJson json = TokenizerJson::parse(text, nullptr, false);
    if (!json.is_object())
        return tokenizerError(Error::Code::Malformed, "is not a JSON object");
    const auto model = json.find("model");
    if (model == json.end() || !model->is_object())
        return tokenizerError(Error::Code::Malformed, "has no model");
    const TokenizerJson type = model->value("type", TokenizerJson());
    if (type != "BPE")
        return tokenizerError(Error::Code::Refused,
            "its model is " + (type.is_string() ? type.get<std::string>() : "of no known type")
                + ", not BPE");
    const auto vocabulary = model->find("vocab");
    if (vocabulary == model->end() || !vocabulary->is_object())
        return tokenizerError(Error::Code::Malformed, "has no vocabulary");
    HfTokenizer tokenizer;
    if (const Status read = readVocabulary(*vocabulary, tokenizer); !read)
        return read.error();
    if (const Status read = readAddedTokens(json, tokenizer); !read)
        return read.error();
    if (const auto merges = model->find("merges"); merges != model->end() && merges->is_array())
        tokenizer.mergeCount = merges->size();
    return tokenizer;
}

std::string writeByteTokenizer(const std::vector<std::string>& specials)
{
    TokenizerOrdered vocabulary = TokenizerOrdered::object();
    const auto letters = byteAlphabet();
    for (std::size_t byte = 0; byte < 256; ++byte)
        vocabulary[utf8Of(letters[byte])] = byte;
    TokenizerOrdered added = TokenizerOrdered::array();
    for (std::size_t i = 0; i < specials.size(); ++i)
        added.push_back({ { "id", 256 + i }, { "content", specials[i] }, { "single_word", false },
            { "lstrip", false }, { "rstrip", false }, { "normalized", false },
            { "special", true } });
    const TokenizerOrdered byteLevel { { "type", "ByteLevel" }, { "add_prefix_space", false },
        { "trim_offsets", false }, { "use_regex", false } };
    const TokenizerOrdered json {
        { "version", "1.0" },
        { "truncation", nullptr },
        { "padding", nullptr },
        { "added_tokens", added },
        { "normalizer", nullptr },
        { "pre_tokenizer", byteLevel },
        { "post_processor", nullptr },
        { "decoder", byteLevel },
        { "model",
            { { "type", "BPE" }, { "dropout", nullptr }, { "unk_token", nullptr },
                { "continuing_subword_prefix", nullptr }, { "end_of_word_suffix", nullptr },
                { "fuse_unk", false }, { "byte_fallback", false }, { "ignore_merges", false },
                { "vocab", vocabulary }, { "merges", TokenizerOrdered::array() } } },
    };
    return json.dump(1) + "\n";
}

std::string writeTokenizerConfig(
    std::string_view bos, std::string_view eos, std::string_view pad, std::int64_t maxLength)
{
    TokenizerOrdered json { { "tokenizer_class", "PreTrainedTokenizerFast" },
        { "clean_up_tokenization_spaces", false }, { "model_max_length", maxLength } };
    if (!bos.empty())
        json["bos_token"] = bos;
    if (!eos.empty())
        json["eos_token"] = eos;
    if (!pad.empty())
        json["pad_token"] = pad;
    return json.dump(2) + "\n";
}

} // namespace desk
