// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/json_scan.h"

#include <charconv>
#include <clocale>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <locale.h>

namespace desk {
namespace {

    constexpr int kMaxDepth = 512;

    bool isDigit(char c) noexcept
    {
        return c >= '0' && c <= '9';
    }

    /// Overflow and underflow, which std::from_chars does not tell apart. The program's own locale
    /// may write a decimal comma, hence the "C" locale.
    double outOfRangeDouble(std::string_view token)
    {
        static const locale_t kPlain = newlocale(LC_ALL_MASK, "C", locale_t {});
        return strtod_l(std::string(token).c_str(), nullptr, kPlain);
    }

    void appendUtf8(std::string& out, std::uint32_t code)
    {
        const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xC0 | (code >> 6));
            put(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            put(0xE0 | (code >> 12));
            put(0x80 | ((code >> 6) & 0x3F));
            put(0x80 | (code & 0x3F));
        } else {
            put(0xF0 | (code >> 18));
            put(0x80 | ((code >> 12) & 0x3F));
            put(0x80 | ((code >> 6) & 0x3F));
            put(0x80 | (code & 0x3F));
        }
    }

    /// Length of the well-formed UTF-8 sequence at the front; 0 if there is none.
    std::size_t utf8Length(std::string_view text)
    {
        const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
        const unsigned lead = byte(0);
        std::size_t length = lead < 0x80  ? 1
            : lead >= 0xC2 && lead < 0xE0 ? 2
            : lead >= 0xE0 && lead < 0xF0 ? 3
            : lead >= 0xF0 && lead < 0xF5 ? 4
                                          : 0;
        if (length == 0 || text.size() < length)
            return 0;
        for (std::size_t i = 1; i < length; ++i)
            if ((byte(i) & 0xC0) != 0x80)
                return 0;
        const bool isOverlong =
            (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
        const bool isSurrogate = lead == 0xED && byte(1) >= 0xA0;
        const bool isTooLarge = lead == 0xF4 && byte(1) >= 0x90;
        return isOverlong || isSurrogate || isTooLarge ? 0 : length;
    }

    class TolerantScanner
    {
    public:
        TolerantScanner(std::string_view text, FlatRow& row)
            : m_text(text)
            , m_row(row)
        {
        }
        const char* scan()
        {
            skipSpace();
            if (peek() != '{')
                return describeStart();
            if (!object({}, 0))
                return m_why;
            skipSpace();
            if (m_at != m_text.size())
                return m_text[m_at] == '{' ? "two objects on one line" : "text after the object";
            return nullptr;
        }

    private:
        [[nodiscard]] char peek() const noexcept
        {
            return m_at < m_text.size() ? m_text[m_at] : '\0';
        }
        void skipSpace() noexcept
        {
            while (m_at < m_text.size()
                && (m_text[m_at] == ' ' || m_text[m_at] == '\t' || m_text[m_at] == '\r'
                    || m_text[m_at] == '\n'))
                ++m_at;
        }
        bool fail(const char* why)
        {
            m_why = why;
            return false;
        }
        [[nodiscard]] const char* describeStart() const
        {
            const char first = peek();
            if (first == '[')
                return "an array, not an object";
            if (isDigit(first) || first == '-')
                return "a number, not an object";
            if (first == '"')
                return "a text, not an object";
            return m_at < m_text.size() && first == '\0' ? "NUL bytes" : "no JSON";
        }
        bool take(std::string_view word)
        {
            if (m_text.substr(m_at, word.size()) != word)
                return false;
            m_at += word.size();
            return true;
        }

        bool object(std::string_view prefix, int depth)
        {
            const std::size_t mark = m_row.entries.size();
            bool isMedia = false;
            ++m_at; // '{'
            skipSpace();
            if (peek() == '}') {
                ++m_at;
                return true;
            }
            for (;;) {
                skipSpace();
                std::string key;
                if (peek() != '"')
                    return fail(
                        m_at >= m_text.size() ? "the object has no end" : "a key without quotes");
                if (!string(key))
                    return false;
                skipSpace();
                if (peek() != ':')
                    return fail("no colon after a key");
                ++m_at;
                isMedia = isMedia || (depth > 0 && key == "_type");
                const std::string_view name =
                    m_row.own(prefix.empty() && depth == 0 ? key : joinName(prefix, key));
                if (!value(name, depth))
                    return false;
                skipSpace();
                if (peek() == ',') {
                    ++m_at;
                    continue;
                }
                if (peek() != '}')
                    return fail(
                        m_at >= m_text.size() ? "the object has no end" : "no comma after a value");
                ++m_at;
                break;
            }
            if (isMedia)
                m_row.entries.resize(mark);
            return true;
        }

        bool array(int depth)
        {
            const std::size_t mark = m_row.entries.size();
            ++m_at; // '['
            skipSpace();
            if (peek() == ']') {
                ++m_at;
                return true;
            }
            for (;;) {
                if (!value({}, depth))
                    return false;
                skipSpace();
                if (peek() == ',') {
                    ++m_at;
                    continue;
                }
                if (peek() != ']')
                    return fail(m_at >= m_text.size() ? "a list has no end" : "no comma in a list");
                ++m_at;
                break;
            }
            m_row.entries.resize(mark); // lists are no metrics
            return true;
        }

        bool value(std::string_view name, int depth)
        {
            if (depth >= kMaxDepth)
                return fail("nested too deeply");
            skipSpace();
            const bool isTop = depth == 0;
            switch (peek()) {
            case '{':
                return object(name, depth + 1);
            case '[':
                return array(depth + 1);
            case '"': {
                std::string text;
                if (!string(text))
                    return false;
                m_row.addText(name, m_row.own(std::move(text)), isTop);
                return true;
            }
            default:
                return scalar(name, isTop);
            }
        }

        bool scalar(std::string_view name, bool isTop)
        {
            constexpr double kInfinity = std::numeric_limits<double>::infinity();
            const auto number = [&](const XValue& x) {
                m_row.entries.push_back({ name, RowEntry::Kind::Number, isTop, x, {} });
                return true;
            };
            if (take("true"))
                return number(XValue::of(std::int64_t { 1 }));
            if (take("false"))
                return number(XValue::of(std::int64_t { 0 }));
            if (take("null")) {
                m_row.entries.push_back({ name, RowEntry::Kind::Null, isTop, {}, {} });
                return true;
            }
            if (take("NaN"))
                return number(XValue::of(std::numeric_limits<double>::quiet_NaN()));
            if (take("Infinity"))
                return number(XValue::of(kInfinity));
            if (take("-Infinity"))
                return number(XValue::of(-kInfinity));
            const std::size_t begin = m_at;
            if (!numberToken())
                return fail(
                    m_at >= m_text.size() ? "a value is missing at the end" : "not a JSON value");
            return number(numberFrom(m_text.substr(begin, m_at - begin)));
        }

        bool digits()
        {
            const std::size_t begin = m_at;
            while (isDigit(peek()))
                ++m_at;
            return m_at > begin;
        }
        bool numberToken()
        {
            if (peek() == '-')
                ++m_at;
            if (peek() == '0')
                ++m_at;
            else if (!digits())
                return false;
            if (peek() == '.') {
                ++m_at;
                if (!digits())
                    return false;
            }
            if (peek() == 'e' || peek() == 'E') {
                ++m_at;
                if (peek() == '+' || peek() == '-')
                    ++m_at;
                return digits();
            }
            return true;
        }

        bool hex4(std::uint32_t& code)
        {
            if (m_text.size() - m_at < 4)
                return fail("a text has no end");
            code = 0;
            const char* begin = m_text.data() + m_at;
            const auto parsed = std::from_chars(begin, begin + 4, code, 16);
            if (parsed.ptr != begin + 4)
                return fail("a bad \\u escape");
            m_at += 4;
            return true;
        }
        bool unicodeEscape(std::string& out)
        {
            std::uint32_t code = 0;
            if (!hex4(code))
                return false;
            if (code >= 0xD800 && code < 0xDC00 && m_text.substr(m_at, 2) == "\\u") {
                const std::size_t mark = m_at;
                std::uint32_t low = 0;
                m_at += 2;
                if (!hex4(low))
                    return false;
                if (low >= 0xDC00 && low < 0xE000)
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                else
                    m_at = mark;
            }
            appendUtf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
            return true;
        }
        bool escape(std::string& out)
        {
            const char c = peek();
            ++m_at;
            switch (c) {
            case '"':
            case '\\':
            case '/':
                out.push_back(c);
                return true;
            case 'b':
                out.push_back('\b');
                return true;
            case 'f':
                out.push_back('\f');
                return true;
            case 'n':
                out.push_back('\n');
                return true;
            case 'r':
                out.push_back('\r');
                return true;
            case 't':
                out.push_back('\t');
                return true;
            case 'u':
                return unicodeEscape(out);
            default:
                return fail("a bad escape in a text");
            }
        }
        bool string(std::string& out)
        {
            ++m_at; // '"'
            while (m_at < m_text.size()) {
                const char c = m_text[m_at];
                if (c == '"') {
                    ++m_at;
                    return true;
                }
                if (static_cast<unsigned char>(c) < 0x20)
                    return fail("a control character in a text");
                if (c == '\\') {
                    ++m_at;
                    if (!escape(out))
                        return false;
                    continue;
                }
                const std::size_t length = utf8Length(m_text.substr(m_at));
                if (length == 0) {
                    appendUtf8(out, 0xFFFD);
                    ++m_at;
                } else {
                    out.append(m_text.substr(m_at, length));
                    m_at += length;
                }
            }
            return fail("a text has no end");
        }

        std::string_view m_text;
        FlatRow& m_row;
        std::size_t m_at = 0;
        const char* m_why = "no JSON";
    };

} // namespace

void FlatRow::addText(std::string_view name, std::string_view text, bool isTopLevel)
{
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    RowEntry entry { name, RowEntry::Kind::Text, isTopLevel, {}, text };
    // W&B and Trackio write non-finite numbers as these three words.
    if (text == "NaN")
        entry.number = XValue::of(std::numeric_limits<double>::quiet_NaN());
    else if (text == "Infinity")
        entry.number = XValue::of(kInfinity);
    else if (text == "-Infinity")
        entry.number = XValue::of(-kInfinity);
    if (!std::isfinite(entry.number.real))
        entry.kind = RowEntry::Kind::Number;
    entries.push_back(entry);
}

XValue numberFrom(std::string_view token)
{
    const char* const end = token.data() + token.size();
    if (token.find_first_of(".eE") == std::string_view::npos) {
        std::int64_t step = 0;
        const auto parsed = std::from_chars(token.data(), end, step);
        if (parsed.ec == std::errc {} && parsed.ptr == end)
            return XValue::of(step);
    }
    double real = 0;
    const auto parsed = std::from_chars(token.data(), end, real);
    if (parsed.ec == std::errc::result_out_of_range)
        real = outOfRangeDouble(token);
    return XValue::of(real);
}

const char* scanTolerant(std::string_view line, FlatRow& row)
{
    row.clear();
    return TolerantScanner(line, row).scan();
}

std::string joinName(std::string_view outer, std::string_view inner)
{
    std::string name;
    name.reserve(outer.size() + 1 + inner.size());
    name.append(outer).append(".").append(inner);
    return name;
}

} // namespace desk
