// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/delta/weight_set.h"

#include <nlohmann/json.hpp>

namespace desk {

namespace {

    /// Keeps weight_map and skips the rest, however deep it nests (the parser does not recurse).
    class IndexSax final : public nlohmann::json_sax<nlohmann::json>
    {
    public:
        std::map<std::string, std::string> weightMap;
        std::string failure;
        bool hasMap = false;

        bool null() override { return plain(); }
        bool boolean(bool) override { return plain(); }
        bool number_integer(number_integer_t) override { return plain(); }
        bool number_unsigned(number_unsigned_t) override { return plain(); }
        bool number_float(number_float_t, const string_t&) override { return plain(); }
        bool binary(binary_t&) override { return plain(); }
        bool string(string_t& value) override
        {
            if (!m_isInMap)
                return plain();
            if (m_depth != 2)
                return fail("weight_map holds something that is not a file name");
            if (!weightMap.emplace(m_key, value).second)
                return fail("weight_map lists tensor " + m_key + " twice");
            return true;
        }
        bool start_object(std::size_t) override { return open(); }
        bool start_array(std::size_t) override { return open(); }
        bool end_object() override { return close(); }
        bool end_array() override { return close(); }
        bool key(string_t& name) override
        {
            m_key = name;
            if (m_depth == 1) {
                m_isInMap = name == "weight_map";
                if (m_isInMap && std::exchange(hasMap, true))
                    return fail("weight_map stands there twice");
            }
            return true;
        }
        bool parse_error(
            std::size_t position, const std::string&, const nlohmann::detail::exception&) override
        {
            return fail("not valid JSON at byte " + std::to_string(position));
        }

    private:
        static constexpr int kMaxIndexDepth = 64;
        bool plain()
        {
            return m_isInMap || m_depth == 0 ? fail("weight_map holds something that is not a name")
                                             : true;
        }
        bool open()
        {
            if (m_isInMap && m_depth >= 2)
                return fail("weight_map holds something that is not a file name");
            return ++m_depth <= kMaxIndexDepth ? true : fail("nested too deep");
        }
        bool close()
        {
            if (--m_depth <= 1)
                m_isInMap = false;
            return true;
        }
        bool fail(std::string text)
        {
            failure = std::move(text);
            return false;
        }
        int m_depth = 0;
        bool m_isInMap = false;
        std::string m_key;
    };

    class TiedSax final : public nlohmann::json_sax<nlohmann::json>
    {
    public:
        bool isTied = false;
        bool null() override { return true; }
        bool boolean(bool value) override
        {
            if (m_depth == 1 && m_key == "tie_word_embeddings")
                isTied = value;
            return true;
        }
        bool number_integer(number_integer_t) override { return true; }
        bool number_unsigned(number_unsigned_t) override { return true; }
        bool number_float(number_float_t, const string_t&) override { return true; }
        bool string(string_t&) override { return true; }
        bool binary(binary_t&) override { return true; }
        bool start_object(std::size_t) override { return ++m_depth < 64; }
        bool start_array(std::size_t) override { return ++m_depth < 64; }
        bool end_object() override { return m_depth-- > 0; }
        bool end_array() override { return m_depth-- > 0; }
        bool key(string_t& name) override
        {
            m_key = name;
            return true;
        }
        bool parse_error(
            std::size_t, const std::string&, const nlohmann::detail::exception&) override
        {
            return false;
        }

    private:
        int m_depth = 0;
        std::string m_key;
    };

} // namespace

Result<std::map<std::string, std::string>> parseWeightIndex(std::string_view json)
{
    IndexSax sax;
    const bool isParsed = nlohmann::json::sax_parse(json, &sax);
    if (isParsed && !sax.hasMap)
        sax.failure = "there is no weight_map";
    if (!sax.failure.empty() || !isParsed)
        return Error { Error::Code::Malformed, "model.safetensors.index.json: " + sax.failure,
            "nothing was written", "get the folder again from where it came", {} };
    return std::move(sax.weightMap);
}

bool configSaysTied(std::string_view json)
{
    TiedSax sax;
    return nlohmann::json::sax_parse(json, &sax) && sax.isTied;
}

} // namespace desk
