// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/runs/run_reader.h"

#include "services/runs/metric_names.h"
#include "services/store/process_identity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <sys/stat.h>
#include <vector>

namespace desk {
namespace {

    constexpr std::uint64_t kBytesPerPoll = std::uint64_t { 16 } << 20;
    constexpr std::uint64_t kMaxConfigBytes = std::uint64_t { 1 } << 20;
    constexpr std::size_t kMaxShownConfig = std::size_t { 256 } << 10;
    constexpr std::uint64_t kMaxCheckpointBytes = std::uint64_t { 32 } << 20;
    constexpr std::size_t kMaxCheckpointLines = 50'000;
    constexpr int kSparklinePoints = 64;
    constexpr std::size_t kCadenceGaps = 32;

    Time timeFromMicros(std::int64_t microseconds)
    {
        return Time { std::chrono::microseconds(microseconds) };
    }

    std::int64_t microsOf(const Time& time)
    {
        return time.time_since_epoch().count();
    }

    std::optional<double> latestValue(
        const SeriesStore& store, MetricConcept metric, const std::vector<std::string>& names)
    {
        const auto name = metricNameOf(metric, names);
        if (!name)
            return std::nullopt;
        const auto sample = store.snapshot(*name).latest();
        return sample ? std::optional(sample->value) : std::nullopt;
    }

    std::vector<double> sparklineOf(const SeriesSnapshot& loss)
    {
        std::vector<double> points;
        const auto range = loss.xRange();
        if (!range)
            return points;
        const auto found = loss.query({ range->first, range->second, kSparklinePoints, false });
        for (const auto& column : found.columns) {
            if (column.count > 0 && points.size() < static_cast<std::size_t>(kSparklinePoints))
                points.push_back(column.last);
        }
        return points;
    }

} // namespace

WatchedFile::WatchedFile(std::filesystem::path path)
    : m_path(std::move(path))
{
}

std::optional<std::string> WatchedFile::readIfChanged(std::uint64_t maxBytes)
{
    struct stat info
    {
    };
    if (::stat(m_path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
        if (m_stamp == 0)
            return std::nullopt;
        m_stamp = 0;
        m_changedAt.reset();
        return std::string {};
    }
    const auto nanos = static_cast<std::uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000U
        + static_cast<std::uint64_t>(info.st_mtim.tv_nsec);
    const auto size = static_cast<std::uint64_t>(info.st_size);
    const auto stamp = (nanos * 31 + static_cast<std::uint64_t>(info.st_ino)) | 1U;
    if (stamp == m_stamp && size == m_size)
        return std::nullopt;
    m_stamp = stamp;
    m_size = size;
    m_changedAt = timeFromMicros(static_cast<std::int64_t>(nanos / 1000));
    std::string text(std::min(size, maxBytes), '\0');
    std::ifstream file(m_path, std::ios::binary);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    return text;
}

RunReader::RunReader(std::filesystem::path folder, std::filesystem::path ledger, const Clock& clock)
    : m_folder(std::move(folder))
    , m_clock(clock)
    , m_tail(std::move(ledger), std::make_shared<SeriesStore>())
    , m_config(m_folder / "config.json")
    , m_status(m_folder / "status.json")
    , m_checkpoints(m_folder / "checkpoints.jsonl")
{
    m_facts.id = QString::fromStdString(m_folder.string());
    m_facts.folder = m_facts.id;
    m_facts.title = m_folder.filename().string();
}

bool RunReader::poll()
{
    bool isChanged = readConfig();
    isChanged |= readStatus();
    isChanged |= readLedger();
    isChanged |= readCheckpoints();
    isChanged |= readProcess();
    const auto before = m_facts.evidence;
    concludeEvidence();
    isChanged |= before != m_facts.evidence || m_isFirstPoll;
    m_isFirstPoll = false;
    return isChanged;
}

bool RunReader::readConfig()
{
    const auto text = m_config.readIfChanged(kMaxConfigBytes);
    if (!text)
        return false;
    m_facts.config = text->substr(0, kMaxShownConfig);
    const auto config = decodeRunConfig(*text);
    if (!config)
        return true; // a half-written config comes again; what was known before stays
    if (!config->runName.empty())
        m_facts.title = config->runName;
    m_facts.job = config->job;
    m_facts.connection = config->connection;
    m_facts.baseModel = config->baseModel;
    m_facts.loraRank = config->loraRank;
    m_facts.totalSteps = config->totalSteps;
    m_facts.pid = config->pid;
    return true;
}

bool RunReader::readStatus()
{
    const auto text = m_status.readIfChanged(kMaxConfigBytes);
    if (!text)
        return false;
    m_end = RunEvidence::Unknown;
    const auto status = decodeRunStatus(*text);
    if (!status)
        return true;
    if (status->code == 1)
        m_end = RunEvidence::Cancelled;
    else if (status->code != 0)
        m_end = RunEvidence::Failed;
    else if (status->message == "completed" || status->message == "done")
        m_end = RunEvidence::Finished;
    if (m_end == RunEvidence::Failed)
        m_facts.problem = status->message;
    return true;
}

bool RunReader::readCheckpoints()
{
    const auto text = m_checkpoints.readIfChanged(kMaxCheckpointBytes);
    if (!text)
        return false;
    m_facts.checkpoints.clear();
    std::size_t at = 0;
    while (m_facts.checkpoints.size() < kMaxCheckpointLines) {
        const auto end = text->find('\n', at);
        if (end == std::string::npos)
            break; // a torn last line waits for its end
        const auto line = std::string_view(*text).substr(at, end - at);
        at = end + 1;
        if (auto checkpoint = decodeRunCheckpoint(line))
            m_facts.checkpoints.push_back(*std::move(checkpoint));
    }
    updateCheckpointLosses();
    return true;
}

bool RunReader::readLedger()
{
    const auto now = microsOf(m_clock.now());
    const auto progress = m_tail.poll(m_isFirstPoll ? 0 : now, kBytesPerPoll);
    m_hasMore = progress && !progress->atEnd;
    if (!progress) {
        const bool isNew = m_facts.problem != progress.error().message;
        m_facts.problem = progress.error().message;
        return isNew;
    }
    if (progress->newBytes == 0 && !progress->restarted)
        return false;
    const auto& report = m_tail.report();
    m_facts.ledgerBytes = report.bytes;
    m_facts.skippedLines = report.skipped;
    m_facts.hasTornTail = report.tornBytes > 0;
    updateSeries();
    return true;
}

void RunReader::updateSeries()
{
    const auto& store = m_tail.store();
    const auto names = store->names();
    m_facts.series = names.empty() ? nullptr : store;
    m_facts.evalLoss = latestValue(*store, MetricConcept::EvalLoss, names);
    m_facts.learningRate = latestValue(*store, MetricConcept::LearningRate, names);
    m_facts.tokensPerSecond = latestValue(*store, MetricConcept::TokensPerSecond, names);
    m_lossName = metricNameOf(MetricConcept::Loss, names).value_or("");
    m_facts.loss.reset();
    m_facts.bestLoss.reset();
    m_facts.sparkline.clear();
    m_facts.step.reset();
    m_facts.started.reset();
    m_facts.lastProgress.reset();
    m_facts.cadenceSeconds.reset();
    // Without a loss the first series still shows how far the run is.
    const auto rhythm =
        store->snapshot(!m_lossName.empty() || names.empty() ? m_lossName : names.front());
    if (rhythm.size() == 0)
        return;
    const auto newest = rhythm.sample(rhythm.size() - 1);
    if (const auto range = rhythm.xRange())
        m_facts.step = newest.x.isInteger ? newest.x.integer
                                          : static_cast<std::int64_t>(std::floor(range->second));
    if (const auto wall = rhythm.wallUs(0); wall > 0)
        m_facts.started = timeFromMicros(wall);
    if (newest.wallUs > 0) {
        m_facts.lastProgress = timeFromMicros(newest.wallUs);
    } else {
        struct stat info
        {
        };
        if (::stat(m_tail.path().c_str(), &info) == 0)
            m_facts.lastProgress =
                timeFromMicros(static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000
                    + info.st_mtim.tv_nsec / 1000);
    }
    updateCadence(rhythm);
    if (m_lossName.empty())
        return;
    m_facts.loss = newest.value;
    if (const auto all = rhythm.aggregate(0, rhythm.size()); all.count > 0)
        m_facts.bestLoss = all.min;
    m_facts.sparkline = sparklineOf(rhythm);
    updateCheckpointLosses();
}

void RunReader::updateCadence(const SeriesSnapshot& loss)
{
    std::vector<double> gaps;
    for (std::size_t i = loss.size(); i > 1 && gaps.size() < kCadenceGaps; --i) {
        const auto later = loss.wallUs(i - 1);
        const auto earlier = loss.wallUs(i - 2);
        if (earlier > 0 && later > earlier && loss.x(i - 1) > loss.x(i - 2))
            gaps.push_back(static_cast<double>(later - earlier) / 1e6);
    }
    if (gaps.size() < 2)
        return;
    const auto middle = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2);
    std::nth_element(gaps.begin(), middle, gaps.end());
    m_facts.cadenceSeconds = *middle;
}

void RunReader::updateCheckpointLosses()
{
    if (m_lossName.empty())
        return;
    const auto loss = m_tail.store()->snapshot(m_lossName);
    if (loss.isNull())
        return;
    for (auto& checkpoint : m_facts.checkpoints) {
        if (checkpoint.loss || !checkpoint.step)
            continue;
        if (const auto sample = loss.at(static_cast<double>(*checkpoint.step)))
            checkpoint.loss = sample->value;
    }
}

bool RunReader::readProcess()
{
    // A pid that was given to a younger process since is not the run any more.
    bool isAlive = false;
    if (m_facts.pid > 0) {
        const auto started = processStartTime(m_facts.pid);
        const auto written = m_config.changedAt();
        isAlive = started && (!written || *started <= *written + std::chrono::seconds(2));
    }
    const auto socket = m_folder / "control.sock";
    struct stat info
    {
    };
    const bool hasSocket = ::stat(socket.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
    const auto path = hasSocket ? QString::fromStdString(socket.string()) : QString();
    if (isAlive == m_facts.isProcessAlive && path == m_facts.controlSocket)
        return false;
    m_facts.isProcessAlive = isAlive;
    m_facts.controlSocket = path;
    return true;
}

void RunReader::concludeEvidence()
{
    const bool hasFinal = std::any_of(m_facts.checkpoints.begin(), m_facts.checkpoints.end(),
        [](const RunCheckpoint& checkpoint) { return checkpoint.isFinal; });
    m_facts.evidence = m_end;
    // A run that goes on after a crash writes new lines below its old end.
    if (m_end == RunEvidence::Unknown && hasFinal && !m_facts.isProcessAlive)
        m_facts.evidence = RunEvidence::Finished;
    m_facts.evidence = evidenceFor(m_facts, std::nullopt, m_clock.now());
}

} // namespace desk
