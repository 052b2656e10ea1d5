// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/json_text.h"

#include "services/codecs/json_read.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

namespace desk {
namespace {

    struct OpenBracket
    {
        bool isObject = false;
        std::size_t commas = 0;
    };

    /// Index of the closing quote of the string that opens at `at`; text.size() if there is none.
    std::size_t stringEnd(std::string_view text, std::size_t at)
    {
        for (++at; at < text.size() && text[at] != '"'; ++at) {
            if (text[at] == '\\')
                ++at;
        }
        return std::min(at, text.size());
    }

    char lowered(char c)
    {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }

    /// "X-Api-Key" and "apiKey" and "api_key" all become "apikey".
    std::string plainKey(std::string_view key)
    {
        std::string plain;
        for (const char c : key) {
            if (c != '-' && c != '_' && c != ' ')
                plain += lowered(c);
        }
        return plain;
    }

    bool endsWith(const std::string& text, std::string_view end)
    {
        return text.size() >= end.size()
            && std::string_view(text).substr(text.size() - end.size()) == end;
    }

    bool namesSecret(std::string_view key)
    {
        static constexpr std::array kWords { "apikey", "authorization", "secret", "password",
            "credential", "cookie" };
        const auto plain = plainKey(key);
        for (const char* word : kWords) {
            if (plain.find(word) != std::string::npos)
                return true;
        }
        // Tokens of a text and page tokens are no secrets.
        return endsWith(plain, "token") && !endsWith(plain, "pagetoken");
    }

    bool isUnreserved(char c)
    {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_'
            || c == '~';
    }

    int hexDigit(char c)
    {
        if (c >= '0' && c <= '9')
            return c - '0';
        if (lowered(c) >= 'a' && lowered(c) <= 'f')
            return lowered(c) - 'a' + 10;
        return -1;
    }

    std::string percentDecoded(std::string_view text)
    {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            const bool isEscape = text[i] == '%' && i + 2 < text.size()
                && hexDigit(text[i + 1]) >= 0 && hexDigit(text[i + 2]) >= 0;
            if (isEscape) {
                out += static_cast<char>(hexDigit(text[i + 1]) * 16 + hexDigit(text[i + 2]));
                i += 2;
            } else {
                out += text[i] == '+' ? ' ' : text[i];
            }
        }
        return out;
    }

} // namespace

Status checkJsonBounds(std::string_view text, const JsonLimits& limits)
{
    if (text.size() > limits.maxBytes)
        return malformed("The body has " + std::to_string(text.size()) + " bytes, more than the "
            + std::to_string(limits.maxBytes) + " that are read");
    std::vector<OpenBracket> open;
    std::size_t values = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        switch (text[i]) {
        case '"':
            i = stringEnd(text, i);
            break;
        case '{':
        case '[':
            if (open.size() == limits.maxDepth)
                return malformed("The body is nested deeper than " + std::to_string(limits.maxDepth)
                    + " levels");
            open.push_back({ text[i] == '{', 0 });
            break;
        case '}':
        case ']':
            if (!open.empty())
                open.pop_back();
            break;
        case ',':
            if (++values > limits.maxValues)
                return malformed(
                    "The body has more than " + std::to_string(limits.maxValues) + " values");
            if (!open.empty() && open.back().isObject && ++open.back().commas >= limits.maxMembers)
                return malformed("An object of the body has more than "
                    + std::to_string(limits.maxMembers) + " members");
            break;
        default:
            break;
        }
    }
    return done();
}

void redact(Json& value)
{
    if (value.is_object()) {
        for (auto& [key, member] : value.items()) {
            if (namesSecret(key))
                member = "[redacted]";
            else
                redact(member);
        }
    } else if (value.is_array()) {
        for (auto& element : value)
            redact(element);
    }
}

std::string redactedJson(std::string_view text, int indent)
{
    if (text.empty())
        return {};
    if (!checkJsonBounds(text, kTensorLimits))
        return "[not shown]";
    auto value = Json::parse(text, nullptr, false);
    if (value.is_discarded())
        return "[not shown]";
    redact(value);
    return toText(value, indent);
}

std::string percentEncoded(std::string_view text)
{
    static constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (isUnreserved(c))
            out += c;
        else
            (out += '%') += { kHex[byte >> 4U], kHex[byte & 15U] };
    }
    return out;
}

std::map<std::string, std::string> parseQuery(std::string_view query)
{
    std::map<std::string, std::string> pairs;
    for (int count = 0; count < 100 && !query.empty(); ++count) {
        const auto end = std::min(query.find('&'), query.size());
        const auto pair = query.substr(0, end);
        const auto equals = std::min(pair.find('='), pair.size());
        if (!pair.empty())
            pairs[percentDecoded(pair.substr(0, equals))] =
                equals < pair.size() ? percentDecoded(pair.substr(equals + 1)) : std::string();
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return pairs;
}

std::string encodeQuery(const std::map<std::string, std::string>& query)
{
    std::string out;
    for (const auto& [key, value] : query) {
        if (!out.empty())
            out += '&';
        out += percentEncoded(key) + '=' + percentEncoded(value);
    }
    return out;
}

} // namespace desk
