// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/list_filter.h"

#include <algorithm>
#include <cstdlib>

namespace desk {
namespace {

    constexpr std::size_t kMaxFilter = 4096;
    constexpr int kMaxFilterDepth = 32;

    struct FilterToken
    {
        std::string text;
        bool isQuoted = false;
        std::size_t at = 0;
    };

    bool isSpace(char c)
    {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
    }

    Error badFilter(std::string_view why, std::size_t at)
    {
        return Error { Error::Code::Usage,
            "the filter cannot be read at character " + std::to_string(at + 1) + ": "
                + std::string(why),
            "nothing was listed", "write it like state=\"JOB_STATE_RUNNING\" AND loraRank>0", {} };
    }

    /// Words, quoted texts, parentheses and comparators.
    Result<std::vector<FilterToken>> filterTokens(std::string_view text)
    {
        std::vector<FilterToken> tokens;
        std::size_t at = 0;
        while (at < text.size()) {
            const char c = text[at];
            if (isSpace(c)) {
                ++at;
                continue;
            }
            FilterToken token;
            token.at = at;
            if (c == '"' || c == '\'') {
                token.isQuoted = true;
                for (++at; at < text.size() && text[at] != c; ++at) {
                    if (text[at] == '\\' && at + 1 < text.size())
                        ++at;
                    token.text += text[at];
                }
                if (at >= text.size())
                    return badFilter("a quote is not closed", token.at);
                ++at;
            } else if (c == '(' || c == ')' || c == ':' || c == '=') {
                token.text = c;
                ++at;
            } else if (c == '<' || c == '>' || c == '!') {
                token.text = c;
                if (++at < text.size() && text[at] == '=')
                    token.text += text[at++];
            } else {
                while (at < text.size() && !isSpace(text[at])
                    && std::string_view("()=<>!:\"").find(text[at]) == std::string_view::npos)
                    token.text += text[at++];
                // Times hold colons: 2026-11-21T10:00:00Z.
                while (at < text.size() && text[at] == ':' && token.text.size() > 10
                    && token.text[4] == '-' && token.text[10] == 'T')
                    while (at < text.size() && !isSpace(text[at]) && text[at] != ')')
                        token.text += text[at++];
            }
            tokens.push_back(std::move(token));
        }
        return tokens;
    }

    class FilterParser
    {
    public:
        explicit FilterParser(std::vector<FilterToken> tokens)
            : m_tokens(std::move(tokens))
        {
        }

        Result<FilterNode> whole()
        {
            auto node = expression(0);
            if (node && m_next < m_tokens.size())
                return badFilter("'" + m_tokens[m_next].text + "' is too much", place());
            return node;
        }

    private:
        [[nodiscard]] bool isNext(const char* word) const
        {
            return m_next < m_tokens.size() && !m_tokens[m_next].isQuoted
                && m_tokens[m_next].text == word;
        }
        [[nodiscard]] std::size_t place() const
        {
            if (m_next < m_tokens.size())
                return m_tokens[m_next].at;
            return m_tokens.empty() ? 0 : m_tokens.back().at + m_tokens.back().text.size();
        }

        Result<FilterNode> expression(int depth)
        {
            FilterNode node;
            node.kind = FilterNode::Kind::And;
            while (true) {
                auto part = alternatives(depth);
                if (!part)
                    return part;
                node.children.push_back(*std::move(part));
                if (isNext("AND"))
                    ++m_next;
                else if (m_next >= m_tokens.size() || isNext(")"))
                    return node; // two parts side by side are both wanted
            }
        }

        Result<FilterNode> alternatives(int depth)
        {
            FilterNode node;
            node.kind = FilterNode::Kind::Or;
            while (true) {
                auto part = term(depth);
                if (!part)
                    return part;
                node.children.push_back(*std::move(part));
                if (!isNext("OR"))
                    return node;
                ++m_next;
            }
        }

        Result<FilterNode> term(int depth)
        {
            if (depth > kMaxFilterDepth)
                return badFilter("it is nested too deeply", place());
            if (m_next >= m_tokens.size())
                return badFilter("it ends too early", place());
            if (isNext("NOT") || isNext("-")) {
                ++m_next;
                auto inner = term(depth + 1);
                if (!inner)
                    return inner;
                FilterNode node;
                node.kind = FilterNode::Kind::Not;
                node.children.push_back(*std::move(inner));
                return node;
            }
            if (isNext("(")) {
                ++m_next;
                auto inner = expression(depth + 1);
                if (!inner)
                    return inner;
                if (!isNext(")"))
                    return badFilter("a parenthesis is not closed", place());
                ++m_next;
                return inner;
            }
            return restriction();
        }

        Result<FilterNode> restriction()
        {
            static constexpr const char* kComparators[] = { "=", "!=", "<", "<=", ">", ">=", ":" };
            const auto isComparator = [&] {
                return std::any_of(std::begin(kComparators), std::end(kComparators),
                    [this](const char* word) { return isNext(word); });
            };
            if (isComparator() || isNext(")") || isNext("AND") || isNext("OR"))
                return badFilter("a field is missing", place());
            FilterNode node;
            node.kind = FilterNode::Kind::Search;
            node.argument = m_tokens[m_next++].text;
            if (!isComparator())
                return node;
            node.kind = FilterNode::Kind::Compare;
            node.path = std::exchange(node.argument, {});
            node.comparator = m_tokens[m_next++].text;
            if (m_next >= m_tokens.size() || isNext(")"))
                return badFilter("a value is missing", place());
            node.argument = m_tokens[m_next++].text;
            return node;
        }

        std::vector<FilterToken> m_tokens;
        std::size_t m_next = 0;
    };

    std::string camelName(std::string_view name)
    {
        std::string result;
        bool isUpper = false;
        for (const char c : name) {
            if (c == '_') {
                isUpper = !result.empty();
                continue;
            }
            result += isUpper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
            isUpper = false;
        }
        return result;
    }

    const Json* fieldAt(const Json& row, std::string_view path)
    {
        const Json* at = &row;
        while (true) {
            const auto dot = path.find('.');
            const auto name = std::string(path.substr(0, dot));
            if (!at->is_object())
                return nullptr;
            auto found = at->find(name);
            if (found == at->end())
                found = at->find(camelName(name));
            if (found == at->end() || found->is_null())
                return nullptr;
            at = &*found;
            if (dot == std::string_view::npos)
                return at;
            path.remove_prefix(dot + 1);
        }
    }

    std::optional<double> numberIn(const std::string& text)
    {
        if (text.empty() || text.size() > 40)
            return std::nullopt;
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        return end == text.c_str() + text.size() ? std::optional(value) : std::nullopt;
    }

    template <class T>
    int compareValues(const T& a, const T& b)
    {
        return a < b ? -1 : b < a ? 1 : 0;
    }

    std::string scalarText(const Json& value)
    {
        return value.is_string() ? value.get<std::string>() : toText(value);
    }

    /// -1, 0, 1.
    int compareTexts(const std::string& a, const std::string& b)
    {
        if (const auto x = parseRfc3339(a), y = parseRfc3339(b); x && y)
            return compareValues(*x, *y);
        if (const auto x = numberIn(a), y = numberIn(b); x && y)
            return compareValues(*x, *y);
        return compareValues(a, b);
    }

    bool contains(const std::string& text, const std::string& part)
    {
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        };
        return std::search(text.begin(), text.end(), part.begin(), part.end(), [&](char a, char b) {
            return lower(a) == lower(b);
        }) != text.end();
    }

    bool equalsPattern(const std::string& text, std::string_view pattern)
    {
        const bool isOpenFront = !pattern.empty() && pattern.front() == '*';
        if (isOpenFront)
            pattern.remove_prefix(1);
        const bool isOpenBack = !pattern.empty() && pattern.back() == '*';
        if (isOpenBack)
            pattern.remove_suffix(1);
        if (!isOpenFront && !isOpenBack)
            return compareTexts(text, std::string(pattern)) == 0;
        if (text.size() < pattern.size())
            return false;
        const auto found = text.find(pattern);
        if (isOpenFront && isOpenBack)
            return found != std::string::npos;
        return isOpenBack ? found == 0 : text.substr(text.size() - pattern.size()) == pattern;
    }

    bool hasValue(const Json& field, const std::string& argument)
    {
        if (argument == "*")
            return true;
        if (field.is_object())
            return field.contains(argument);
        if (field.is_array())
            return std::any_of(field.begin(), field.end(),
                [&](const Json& item) { return scalarText(item) == argument; });
        return contains(scalarText(field), argument);
    }

    bool compares(const FilterNode& node, const Json& row)
    {
        const auto* field = fieldAt(row, node.path);
        if (field == nullptr)
            return node.comparator == "!=";
        if (node.comparator == ":")
            return hasValue(*field, node.argument);
        const auto text = scalarText(*field);
        if (node.comparator == "=")
            return equalsPattern(text, node.argument);
        if (node.comparator == "!=")
            return !equalsPattern(text, node.argument);
        const int order = compareTexts(text, node.argument);
        if (node.comparator == "<")
            return order < 0;
        if (node.comparator == "<=")
            return order <= 0;
        return node.comparator == ">" ? order > 0 : order >= 0;
    }

    std::string_view trimmed(std::string_view text)
    {
        while (!text.empty() && isSpace(text.front()))
            text.remove_prefix(1);
        while (!text.empty() && isSpace(text.back()))
            text.remove_suffix(1);
        return text;
    }

    template <class Each>
    void eachPart(std::string_view list, Each&& each)
    {
        while (!list.empty()) {
            const auto comma = list.find(',');
            if (const auto part = trimmed(list.substr(0, comma)); !part.empty())
                each(part);
            list = comma == std::string_view::npos ? std::string_view {} : list.substr(comma + 1);
        }
    }

    void copyField(const Json& from, Json& to, std::string_view path)
    {
        const auto dot = path.find('.');
        const auto* field = fieldAt(from, path.substr(0, dot));
        if (field == nullptr)
            return;
        const auto name = camelName(path.substr(0, dot));
        if (dot == std::string_view::npos) {
            to[name] = *field;
            return;
        }
        auto& inner = to[name];
        if (!inner.is_object())
            inner = Json::object();
        copyField(*field, inner, path.substr(dot + 1));
    }

} // namespace

Result<FilterNode> parseFilter(std::string_view text)
{
    if (text.size() > kMaxFilter)
        return badFilter("it is longer than 4096 characters", kMaxFilter);
    if (trimmed(text).empty())
        return FilterNode {};
    auto tokens = filterTokens(text);
    if (!tokens)
        return tokens.error();
    return FilterParser(*std::move(tokens)).whole();
}

bool matchesFilter(const FilterNode& filter, const Json& row)
{
    const auto matches = [&row](const FilterNode& child) { return matchesFilter(child, row); };
    switch (filter.kind) {
    case FilterNode::Kind::And:
        return std::all_of(filter.children.begin(), filter.children.end(), matches);
    case FilterNode::Kind::Or:
        return std::any_of(filter.children.begin(), filter.children.end(), matches);
    case FilterNode::Kind::Not:
        return !matchesFilter(filter.children.front(), row);
    case FilterNode::Kind::Compare:
        return compares(filter, row);
    case FilterNode::Kind::Search:
        break;
    }
    return contains(readText(row, { "name" }), filter.argument)
        || contains(readText(row, { "displayName" }), filter.argument);
}

Status sortRows(std::vector<Json>& rows, std::string_view orderBy)
{
    struct Key
    {
        std::string path;
        bool isDescending;
    };
    std::vector<Key> keys;
    Status status = done();
    eachPart(orderBy, [&](std::string_view part) {
        const auto space = part.find(' ');
        const auto word = space == std::string_view::npos ? "" : trimmed(part.substr(space));
        if (word != "" && word != "asc" && word != "desc")
            status =
                Error { Error::Code::Usage, "orderBy cannot be read: '" + std::string(part) + "'",
                    "nothing was listed", "write it like createTime desc,name", {} };
        keys.push_back({ std::string(part.substr(0, space)), word == "desc" });
    });
    if (!status)
        return status;
    std::stable_sort(rows.begin(), rows.end(), [&keys](const Json& a, const Json& b) {
        for (const auto& key : keys) {
            const auto* x = fieldAt(a, key.path);
            const auto* y = fieldAt(b, key.path);
            int order = 0;
            if (x == nullptr || y == nullptr)
                order = compareValues(x != nullptr, y != nullptr);
            else
                order = compareTexts(scalarText(*x), scalarText(*y));
            if (order != 0)
                return key.isDescending ? order > 0 : order < 0;
        }
        return false;
    });
    return done();
}

Json maskedRow(const Json& row, std::string_view mask)
{
    bool isEverything = trimmed(mask).empty();
    Json result = Json::object();
    if (const auto* name = findField(row, { "name" }))
        result["name"] = *name;
    eachPart(mask, [&](std::string_view path) {
        isEverything = isEverything || path == "*";
        copyField(row, result, path);
    });
    return isEverything ? row : result;
}

} // namespace desk
