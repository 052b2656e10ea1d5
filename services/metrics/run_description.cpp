// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/run_description.h"

#include "services/metrics/ledger_tail.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

namespace desk {
namespace {

    namespace fs = std::filesystem;
    using Json = nlohmann::ordered_json;

    constexpr std::uintmax_t kMaxSideFile = std::uintmax_t { 4 } << 20;

    struct Ledger
    {
        fs::path file;
        std::optional<std::string> name; ///< nullopt: the files give no name
        std::string state = "unknown";
        Json config; ///< null: none
        bool isPlain = true; ///< the x key is worth naming
    };

    Json numberJson(double value)
    {
        if (std::isnan(value))
            return "NaN";
        if (std::isinf(value))
            return value > 0 ? "Infinity" : "-Infinity";
        return value;
    }

    Json xJson(const XValue& x)
    {
        return x.isInteger ? Json(x.integer) : numberJson(x.real);
    }

    Json pointJson(const SeriesSnapshot& series, std::size_t index)
    {
        return Json::array({ xJson(series.exactX(index)), numberJson(series.value(index)) });
    }

    /// Everything that a scan of the raw samples tells; the sum is Neumaier's, good to the last
    /// bit.
    struct SeriesFacts
    {
        std::uint64_t finite = 0;
        std::uint64_t nan = 0;
        std::uint64_t posInf = 0;
        std::uint64_t negInf = 0;
        std::size_t first = 0;
        std::size_t last = 0;
        std::size_t min = 0;
        std::size_t max = 0;
        double sum = 0;
    };

    SeriesFacts factsOf(const SeriesSnapshot& series)
    {
        SeriesFacts facts;
        double lost = 0;
        for (std::size_t i = 0; i < series.size(); ++i) {
            const double value = series.value(i);
            if (std::isnan(value)) {
                ++facts.nan;
                continue;
            }
            if (std::isinf(value)) {
                ++(value > 0 ? facts.posInf : facts.negInf);
                continue;
            }
            if (facts.finite == 0)
                facts.first = facts.min = facts.max = i;
            facts.last = i;
            if (value < series.value(facts.min))
                facts.min = i;
            if (value > series.value(facts.max))
                facts.max = i;
            const double sum = facts.sum + value;
            lost += std::fabs(facts.sum) >= std::fabs(value) ? (facts.sum - sum) + value
                                                             : (value - sum) + facts.sum;
            facts.sum = sum;
            ++facts.finite;
        }
        if (std::isfinite(facts.sum + lost))
            facts.sum += lost;
        return facts;
    }

    Json metricJson(const SeriesSnapshot& series, const KeyReport& key, bool withValues)
    {
        const SeriesFacts facts = factsOf(series);
        Json out;
        out["x"] = series.series()->xName();
        out["points"] = series.size();
        out["finite"] = facts.finite;
        out["nan"] = facts.nan;
        out["pos_inf"] = facts.posInf;
        out["neg_inf"] = facts.negInf;
        out["nulls"] = key.nulls;
        out["text"] = key.texts;
        out["segments"] = series.segmentCount();
        out["trimmed_points"] = series.visibleSize();
        const auto point = [&](std::size_t i) {
            return facts.finite > 0 ? pointJson(series, i) : Json();
        };
        out["first"] = point(facts.first);
        out["last"] = point(facts.last);
        out["min"] = point(facts.min);
        out["max"] = point(facts.max);
        out["sum_finite"] = facts.finite > 0 ? numberJson(facts.sum) : Json();
        if (withValues) {
            Json values = Json::array();
            for (std::size_t i = 0; i < series.size(); ++i)
                values.push_back(pointJson(series, i));
            out["values"] = std::move(values);
        }
        return out;
    }

    /// A small JSON file beside the ledger; discarded when it is large or broken.
    Json sideFile(const fs::path& path)
    {
        std::error_code error;
        const auto size = fs::file_size(path, error);
        if (error || size > kMaxSideFile)
            return Json(nlohmann::detail::value_t::discarded);
        std::ifstream in(path, std::ios::binary);
        std::ostringstream text;
        text << in.rdbuf();
        return Json::parse(text.str(), nullptr, false);
    }

    void flattenConfig(const Json& value, const std::string& prefix, Json& out)
    {
        for (const auto& [key, item] : value.items()) {
            if (key.starts_with('_'))
                continue;
            const std::string name = prefix.empty() ? key : prefix + "." + key;
            if (item.is_object() && !item.empty())
                flattenConfig(item, name, out);
            else
                out[name] = item;
        }
    }

    /// status.json of the Fireworks recipes (runs.md section 1.4).
    std::string stateFromStatus(const Json& status)
    {
        if (!status.is_object() || !status.contains("code") || !status["code"].is_number_integer())
            return "unknown";
        const auto code = status["code"].get<std::int64_t>();
        const std::string message = status.contains("message") && status["message"].is_string()
            ? status["message"].get<std::string>()
            : std::string();
        if (code == 0)
            return message == "completed" || message == "done" ? "finished" : "unfinished";
        return code == 1 ? "cancelled" : "failed";
    }

    /// tinker-cookbook ends a finished run with a checkpoint whose line says "final": true.
    std::string stateFromCheckpoints(const fs::path& file)
    {
        std::ifstream in(file, std::ios::binary);
        std::string line;
        std::uint64_t lines = 0;
        while (std::getline(in, line) && ++lines < 100'000) {
            const Json row = Json::parse(line, nullptr, false);
            if (row.is_object() && row.contains("final") && row["final"] == true)
                return "finished";
        }
        return "unknown";
    }

    bool isFile(const fs::path& path)
    {
        std::error_code error;
        return fs::is_regular_file(path, error);
    }

    std::vector<fs::path> entriesOf(const fs::path& folder)
    {
        std::vector<fs::path> out;
        std::error_code error;
        for (fs::directory_iterator it(folder, error), end; !error && it != end;
             it.increment(error))
            out.push_back(it->path());
        std::sort(out.begin(), out.end());
        return out;
    }

    bool isFireworksFolder(const fs::path& folder)
    {
        for (const char* name : { "status.json", "metadata.json", "output_model.json" })
            if (isFile(folder / name))
                return true;
        for (const fs::path& entry : entriesOf(folder))
            if (isFile(entry / "dataloader.json"))
                return true;
        return isFile(folder / "dataloader.json");
    }

    /// The one run of a folder that a known writer made; nullopt: a folder of plain ledgers.
    std::optional<Ledger> writersRun(const fs::path& folder)
    {
        const fs::path metrics = folder / "metrics.jsonl";
        if (!isFile(metrics))
            return std::nullopt;
        Ledger ledger;
        ledger.file = metrics;
        ledger.isPlain = false;
        if (isFile(folder / "config.json")) {
            const Json config = sideFile(folder / "config.json");
            if (config.is_object())
                flattenConfig(config, {}, ledger.config = Json::object());
            ledger.state = stateFromCheckpoints(folder / "checkpoints.jsonl");
            return ledger;
        }
        if (isFireworksFolder(folder)) {
            ledger.state = stateFromStatus(sideFile(folder / "status.json"));
            return ledger;
        }
        return std::nullopt;
    }

    std::vector<Ledger> plainLedgers(const fs::path& folder, const std::string& prefix)
    {
        std::vector<Ledger> out;
        for (const fs::path& entry : entriesOf(folder)) {
            if (entry.extension() != ".jsonl" || !isFile(entry))
                continue;
            Ledger ledger;
            ledger.file = entry;
            ledger.name = prefix + entry.filename().string();
            out.push_back(std::move(ledger));
        }
        return out;
    }

    Result<std::vector<Ledger>> findLedgers(const fs::path& path)
    {
        std::error_code error;
        const auto status = fs::status(path, error);
        if (!fs::exists(status))
            return Error { Error::Code::Unreadable, "there is no " + path.string(),
                "nothing was read", "name a run folder or a ledger file", {} };
        if (fs::is_regular_file(status)) {
            if (path.filename() == "metrics.jsonl")
                if (auto run = writersRun(path.parent_path()))
                    return std::vector { *run };
            Ledger ledger;
            ledger.file = path;
            ledger.name = path.filename().string();
            return std::vector { ledger };
        }
        if (auto run = writersRun(path))
            return std::vector { *run };
        std::vector<Ledger> out = plainLedgers(path, {});
        if (out.empty()) {
            for (const fs::path& entry : entriesOf(path)) {
                if (!fs::is_directory(entry, error))
                    continue;
                const std::string name = entry.filename().string();
                if (auto run = writersRun(entry)) {
                    run->name = name;
                    out.push_back(std::move(*run));
                    continue;
                }
                auto more = plainLedgers(entry, name + "/");
                out.insert(out.end(), more.begin(), more.end());
            }
        }
        if (out.empty())
            return Error { Error::Code::Malformed,
                "no JSON Lines ledger was found in " + path.string(), "nothing was read",
                "name a folder that holds metrics.jsonl, or a ledger file", {} };
        return out;
    }

    struct ReadLedger
    {
        std::shared_ptr<SeriesStore> store = std::make_shared<SeriesStore>();
        LedgerReport report;
        std::map<std::string, KeyReport> keys;
        std::vector<std::string> names;
    };

    Result<ReadLedger> readWhole(const fs::path& file)
    {
        ReadLedger out;
        LedgerTail tail(file, out.store);
        for (;;) {
            const auto progress = tail.poll();
            if (!progress)
                return progress.error();
            if (progress->atEnd)
                break;
        }
        out.report = tail.report();
        for (KeyReport& key : tail.keys()) {
            std::string name = key.name;
            out.keys.emplace(std::move(name), std::move(key));
        }
        out.names = out.store->names();
        std::sort(out.names.begin(), out.names.end());
        return out;
    }

    bool isWanted(const DescribeOptions& options, const std::string& name)
    {
        return options.series.empty()
            || std::find(options.series.begin(), options.series.end(), name)
            != options.series.end();
    }

    Json runJson(const Ledger& ledger, const ReadLedger& read, const DescribeOptions& options)
    {
        Json run;
        run["name"] = ledger.name ? Json(*ledger.name) : Json();
        run["state"] = ledger.state;
        run["path"] = ledger.file.string();
        run["x_key"] = read.report.xKey.empty() ? Json() : Json(read.report.xKey);
        if (!ledger.config.is_null())
            run["config"] = ledger.config;
        Json metrics = Json::object();
        for (const std::string& name : read.names)
            if (isWanted(options, name))
                metrics[name] =
                    metricJson(read.store->snapshot(name), read.keys.at(name), options.withValues);
        run["metric_count"] = read.names.size();
        run["rows"] = read.report.rows;
        run["metrics"] = std::move(metrics);
        return run;
    }

    void addTextRun(std::ostringstream& out, const Ledger& ledger, const ReadLedger& read,
        const DescribeOptions& options)
    {
        out.precision(8);
        out << ledger.name.value_or(ledger.file.parent_path().filename().string()) << ": "
            << ledger.state << ", " << read.report.rows << " rows, " << read.names.size()
            << " metrics, x is " << (read.report.xKey.empty() ? "the row" : read.report.xKey)
            << "\n";
        for (const std::string& name : read.names) {
            if (!isWanted(options, name))
                continue;
            const SeriesSnapshot series = read.store->snapshot(name);
            const SeriesFacts facts = factsOf(series);
            out << "  " << name << ": " << series.size() << " points";
            if (facts.finite > 0)
                out << ", first " << series.value(facts.first) << ", last "
                    << series.value(facts.last) << ", min " << series.value(facts.min) << ", max "
                    << series.value(facts.max);
            if (facts.nan + facts.posInf + facts.negInf > 0)
                out << ", " << facts.nan + facts.posInf + facts.negInf << " not finite";
            if (series.segmentCount() > 1)
                out << ", " << series.segmentCount() - 1 << " restarts";
            out << "\n";
            if (!options.withValues)
                continue;
            out.precision(17);
            for (std::size_t i = 0; i < series.size(); ++i)
                out << "    " << series.x(i) << "\t" << series.value(i) << "\n";
            out.precision(8);
        }
        for (const SkippedLine& line : read.report.skippedLines)
            out << "  line " << line.line << " skipped: " << line.why << "\n";
        if (read.report.skipped > read.report.skippedLines.size())
            out << "  " << read.report.skipped << " lines skipped in all\n";
        if (read.report.tornBytes > 0)
            out << "  the last " << read.report.tornBytes << " bytes are half a line, held back\n";
    }

} // namespace

Result<std::string> describeRuns(const fs::path& path, const DescribeOptions& options)
{
    const auto ledgers = findLedgers(path);
    if (!ledgers)
        return ledgers.error();
    Json runs = Json::array();
    Json lines = Json::array();
    std::uint64_t skipped = 0;
    std::uint64_t tornBytes = 0;
    std::ostringstream text;
    for (const Ledger& ledger : *ledgers) {
        const auto read = readWhole(ledger.file);
        if (!read)
            return read.error();
        skipped += read->report.skipped;
        tornBytes += read->report.tornBytes;
        if (!options.isJson) {
            addTextRun(text, ledger, *read, options);
            continue;
        }
        runs.push_back(runJson(ledger, *read, options));
        for (const SkippedLine& line : read->report.skippedLines)
            lines.push_back({ { "line", line.line }, { "why", line.why },
                { "file", ledger.file.filename().string() } });
    }
    if (!options.isJson)
        return text.str();
    Json malformed;
    malformed["skipped"] = skipped;
    malformed["torn_tail"] = tornBytes > 0;
    malformed["torn_tail_bytes"] = tornBytes;
    malformed["lines"] = std::move(lines);
    Json out;
    out["runs"] = std::move(runs);
    out["malformed"] = std::move(malformed);
    return out.dump(1, ' ', false, Json::error_handler_t::replace);
}

} // namespace desk
