// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Compares `metrics read --json` with a fixture's expected.json under the rules of
// tests/data/metrics/README.md. One place, so that every reader is held to the same.

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace desk::test {

using RunJson = nlohmann::json;

class RunComparison
{
public:
    /// Differences, one a line; empty: equal.
    static std::vector<std::string> compare(const RunJson& expected, const RunJson& actual)
    {
        RunComparison comparison(expected);
        comparison.runs(actual.at("runs"));
        comparison.malformed(actual.at("malformed"));
        return comparison.m_differences;
    }

private:
    explicit RunComparison(const RunJson& expected)
        : m_expected(expected)
    {
    }
    void differ(const std::string& where, const RunJson& want, const RunJson& got)
    {
        m_differences.push_back(where + ": expected " + want.dump() + ", got " + got.dump());
    }
    void same(const std::string& where, const RunJson& want, const RunJson& got)
    {
        if (want != got)
            differ(where, want, got);
    }

    void runs(const RunJson& actual)
    {
        const bool isOptional = m_expected.value("runs_optional", false);
        std::set<std::string> seen;
        for (const RunJson& want : m_expected.at("runs")) {
            const RunJson* found = nullptr;
            for (const RunJson& got : actual)
                if (got.at("name") == want.at("name"))
                    found = &got;
            if (found == nullptr) {
                if (!isOptional)
                    m_differences.push_back("no run " + want.at("name").dump());
                continue;
            }
            seen.insert(want.at("name").dump());
            run(want.at("name").dump(), want, *found);
        }
        for (const RunJson& got : actual)
            if (!seen.contains(got.at("name").dump()))
                m_differences.push_back("a run too many: " + got.at("name").dump());
    }

    void run(const std::string& where, const RunJson& want, const RunJson& got)
    {
        same(where + " state", want.at("state"), got.at("state"));
        if (want.contains("x_key"))
            if (!want.at("metrics").empty())
                same(where + " x_key", want.at("x_key"), got.at("x_key"));
        const RunJson config = want.value("config", RunJson::object());
        for (const auto& [key, value] : config.items())
            same(where + " config " + key, value, got.at("config").value(key, RunJson("missing")));
        for (const auto& [name, metric] : want.at("metrics").items()) {
            if (got.at("metrics").contains(name))
                this->metric(where + " " + name, metric, got.at("metrics").at(name));
            else if (!isOptionalMetric(name))
                m_differences.push_back(where + ": no metric " + name);
        }
        for (const auto& [name, metric] : got.at("metrics").items())
            if (!want.at("metrics").contains(name) && !isOptionalMetric(name))
                m_differences.push_back(where + ": a metric too many: " + name);
    }
    [[nodiscard]] bool isOptionalMetric(const std::string& name) const
    {
        const RunJson names = m_expected.value("optional_metrics", RunJson::array());
        return std::find(names.begin(), names.end(), RunJson(name)) != names.end();
    }

    void metric(const std::string& where, const RunJson& want, const RunJson& got)
    {
        const RunJson& points = want.at("points");
        same(where + " x", want.at("x"), got.at("x"));
        same(where + " points", points, got.at("points"));
        same(where + " finite", want.value("finite", points), got.at("finite"));
        same(where + " segments", want.value("segments", RunJson(1)), got.at("segments"));
        same(where + " trimmed", want.value("trimmed_points", points), got.at("trimmed_points"));
        for (const char* key : { "nan", "pos_inf", "neg_inf", "nulls", "text" })
            same(where + " " + key, want.value(key, RunJson(0)), got.at(key));
        for (const char* key : { "first", "last", "min", "max" })
            if (want.contains(key))
                same(where + " " + key, want.at(key), got.at(key));
        if (want.contains("values"))
            same(where + " values", want.at("values"), got.at("values"));
        if (!want.contains("sum_finite"))
            return;
        const double sum = want.at("sum_finite").get<double>();
        const double gotSum = got.at("sum_finite").get<double>();
        if (std::fabs(sum - gotSum) > 1e-12 * std::max(std::fabs(sum), std::fabs(gotSum)))
            differ(where + " sum", want.at("sum_finite"), got.at("sum_finite"));
    }

    void malformed(const RunJson& got)
    {
        const RunJson& want = m_expected.at("malformed");
        for (const char* key : { "skipped", "torn_tail", "torn_tail_bytes" })
            if (want.contains(key))
                same(std::string("malformed ") + key, want.at(key), got.at(key));
        if (!want.contains("lines"))
            return;
        same("malformed lines", want.at("lines").size(), got.at("lines").size());
        for (std::size_t i = 0; i < want.at("lines").size() && i < got.at("lines").size(); ++i)
            same("malformed line", want.at("lines")[i].at("line"), got.at("lines")[i].at("line"));
    }

    const RunJson& m_expected;
    std::vector<std::string> m_differences;
};

} // namespace desk::test
