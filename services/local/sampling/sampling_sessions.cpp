// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/sampling/sampling_sessions.h"

#include "services/local/objects/files.h"
#include "services/local/server/auth.h"
#include "services/local/server/log.h"

#include <algorithm>
#include <system_error>

namespace desk::local {

namespace {

    constexpr std::size_t kMaxSamplingSessions = 8192;
    constexpr std::size_t kMaxEphemeral = 64; // of one client's session
    constexpr std::size_t kOpenWeights = 8;
    constexpr auto kIdleSampling = std::chrono::minutes(10);
    constexpr std::string_view kTinkerPathPrefix = "tinker://";
    constexpr std::string_view kSamplerPart = "/sampler_weights/";

    Error noSampling(Error::Code code, std::string message, std::string next)
    {
        return Error { code, std::move(message), "nothing was sampled", std::move(next), {} };
    }

    /// A folder of the same name may hold other weights after the first one expired.
    std::string weightsKey(const std::filesystem::path& folder)
    {
        std::error_code error;
        const auto written = std::filesystem::last_write_time(folder, error);
        return folder.string() + '@' + std::to_string(written.time_since_epoch().count());
    }

    Error unknownSampler(const std::string& id)
    {
        return noSampling(Error::Code::NotFound,
            "the sampling session " + id.substr(0, 200)
                + " is not known: it ended or the backend was restarted",
            "create a new sampling client");
    }

} // namespace

SamplingSessions::SamplingSessions(ObjectStore& store)
    : m_store(store)
{
}

SamplingSessions::~SamplingSessions() = default;

void SamplingSessions::setFindSnapshot(FindSnapshot find)
{
    const std::scoped_lock lock(m_mutex);
    m_find = std::move(find);
}

void SamplingSessions::setCheckOwner(CheckOwner check)
{
    const std::scoped_lock lock(m_mutex);
    m_checkOwner = std::move(check);
}

void SamplingSessions::setOnEnded(std::function<void(const std::string&)> ended)
{
    const std::scoped_lock lock(m_mutex);
    m_ended = std::move(ended);
}

Result<SamplingSource> SamplingSessions::baseSource(const std::string& baseModel) const
{
    auto row = m_store.namedModel(baseModel);
    if (!row)
        return row.error();
    SamplingSource source;
    source.baseModel = baseModel;
    source.folder = m_store.absolute(row->folder);
    return source;
}

Result<SamplingSource> SamplingSessions::pathSource(const std::string& path) const
{
    FindSnapshot find;
    {
        const std::scoped_lock lock(m_mutex);
        find = m_find;
    }
    Result<CheckpointRow> row = noSampling(Error::Code::NotFound, "no snapshot", {});
    if (path.substr(0, kTinkerPathPrefix.size()) == kTinkerPathPrefix) {
        const auto rest = path.substr(kTinkerPathPrefix.size());
        const auto part = rest.find(kSamplerPart);
        if (part == std::string::npos || part == 0
            || rest.find('/', part + kSamplerPart.size()) != std::string::npos)
            return noSampling(Error::Code::Usage,
                "'" + path.substr(0, 300) + "' is not tinker://<model>/sampler_weights/<name>",
                "use the path that the save gave");
        const auto name = rest.substr(part + kSamplerPart.size());
        row = find ? find(path)
                   : m_store.checkpointOfRun(rest.substr(0, part), CheckpointSpace::Sampler, name);
    } else {
        row = find ? find(path) : m_store.snapshot(path);
    }
    if (!row)
        return row.error();
    if (row->record.type == CheckpointType::InferenceArcV2)
        return noSampling(Error::Code::Refused,
            "the snapshot " + row->id + " is a delta on " + row->record.parent
                + ": it holds no weights of its own",
            "sample from a deployment that loaded it, or save with checkpoint_type base");
    SamplingSource source;
    source.baseModel = row->baseModel;
    source.modelPath = path;
    source.identity = row->id;
    source.folder = m_store.absolute(row->folder);
    if (row->record.type == CheckpointType::InferenceLora) {
        auto base = baseSource(row->baseModel);
        if (!base)
            return base.error();
        source.adapter = std::move(source.folder);
        source.folder = base->folder;
    }
    return source;
}

std::filesystem::path SamplingSessions::ephemeralFolder(const std::string& modelId) const
{
    std::string name = modelId;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return !isSafeId(std::string(1, c)) && c != '.'; },
        '-');
    return m_store.absolute(
        m_store.freshFolder("ephemeral/" + name.substr(0, 80) + "-" + randomHex(8)));
}

std::vector<SamplingSessions::Session> SamplingSessions::takeIdle(const std::string& owner)
{
    // A loop that makes a sampler every step would otherwise fill the disk.
    const auto now = std::chrono::steady_clock::now();
    std::size_t ephemeral = 0;
    for (const auto& [id, session] : m_sessions)
        ephemeral += session.owner == owner && session.source.isEphemeral ? 1 : 0;
    std::vector<Session> gone;
    const auto takeOldest = [&](auto matches) {
        auto oldest = m_sessions.end();
        for (auto at = m_sessions.begin(); at != m_sessions.end(); ++at)
            if (matches(at->second) && now - at->second.used > kIdleSampling
                && (oldest == m_sessions.end() || at->second.used < oldest->second.used))
                oldest = at;
        if (oldest == m_sessions.end())
            return;
        gone.push_back(std::move(oldest->second));
        m_sessions.erase(oldest);
    };
    if (ephemeral >= kMaxEphemeral)
        takeOldest([&](const Session& session) {
            return session.owner == owner && session.source.isEphemeral;
        });
    if (m_sessions.size() >= kMaxSamplingSessions)
        takeOldest([](const Session&) { return true; });
    return gone;
}

Result<std::string> SamplingSessions::create(
    const std::string& session, std::int64_t sequence, const SamplingSource& source)
{
    CheckOwner check;
    {
        const std::scoped_lock lock(m_mutex);
        check = m_checkOwner;
    }
    if (check)
        if (auto status = check(session); !status)
            return status.error();
    const auto id = session + ":sample:" + std::to_string(sequence);
    std::vector<Session> gone;
    {
        const std::scoped_lock lock(m_mutex);
        if (const auto found = m_sessions.find(id); found != m_sessions.end()) {
            auto& known = found->second.source;
            if (known.folder == source.folder && known.adapter == source.adapter
                && known.modelPath == source.modelPath)
                return id;
            return noSampling(Error::Code::Conflict,
                "the sampling session " + id + " samples from other weights already",
                "use another sampling_session_seq_id");
        }
        gone = takeIdle(session);
        if (m_sessions.size() >= kMaxSamplingSessions)
            return noSampling(Error::Code::Quota,
                "this backend holds " + std::to_string(kMaxSamplingSessions)
                    + " sampling sessions at most",
                "end the sessions that are not needed any more");
        m_sessions[id] = Session { id, session, source, 0, std::chrono::steady_clock::now() };
    }
    forget(gone);
    return id;
}

Result<std::int64_t> SamplingSessions::join(const std::string& id)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_sessions.find(id);
    if (found == m_sessions.end())
        return unknownSampler(id);
    return ++found->second.copies;
}

Result<SamplingSource> SamplingSessions::source(const std::string& id) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_sessions.find(id);
    if (found == m_sessions.end())
        return unknownSampler(id);
    return found->second.source;
}

Result<std::shared_ptr<const InferenceModel>> SamplingSessions::open(const std::string& id)
{
    SamplingSource source;
    {
        const std::scoped_lock lock(m_mutex);
        const auto found = m_sessions.find(id);
        if (found == m_sessions.end())
            return unknownSampler(id);
        found->second.used = std::chrono::steady_clock::now();
        source = found->second.source;
    }
    return openWeights(source);
}

std::shared_ptr<SamplingSessions::Weights> SamplingSessions::weightsFor(const std::string& key)
{
    const std::scoped_lock lock(m_mutex);
    const auto found = std::find_if(
        m_weights.begin(), m_weights.end(), [&](const auto& entry) { return entry.first == key; });
    if (found != m_weights.end()) {
        m_weights.splice(m_weights.begin(), m_weights, found);
        return m_weights.front().second;
    }
    m_weights.emplace_front(key, std::make_shared<Weights>());
    if (m_weights.size() > kOpenWeights)
        m_weights.pop_back(); // whoever samples from it keeps it
    return m_weights.front().second;
}

Result<std::shared_ptr<const InferenceModel>> SamplingSessions::openFolder(
    const std::filesystem::path& folder)
{
    const auto weights = weightsFor(weightsKey(folder));
    const std::scoped_lock opening(weights->opening);
    if (!weights->model) {
        auto model = InferenceModel::open(folder);
        if (!model)
            return model.error();
        weights->model = *model;
    }
    return weights->model;
}

Result<std::shared_ptr<const InferenceModel>> SamplingSessions::openWeights(
    const SamplingSource& source)
{
    if (source.adapter.empty())
        return openFolder(source.folder);
    const auto weights = weightsFor(weightsKey(source.folder) + '\n' + weightsKey(source.adapter));
    const std::scoped_lock opening(weights->opening);
    if (!weights->model) {
        auto base = openFolder(source.folder);
        if (!base)
            return base.error();
        auto model = InferenceModel::withAdapter(*base, source.adapter);
        if (!model)
            return model.error();
        weights->model = *model;
    }
    return weights->model;
}

void SamplingSessions::forget(const std::vector<Session>& gone)
{
    std::function<void(const std::string&)> ended;
    {
        const std::scoped_lock lock(m_mutex);
        ended = m_ended;
    }
    for (const auto& session : gone) {
        if (ended)
            ended(session.id);
        if (session.source.isEphemeral)
            removeTree(
                session.source.adapter.empty() ? session.source.folder : session.source.adapter);
    }
}

void SamplingSessions::endSession(const std::string& session)
{
    std::vector<Session> gone;
    {
        const std::scoped_lock lock(m_mutex);
        for (auto at = m_sessions.begin(); at != m_sessions.end();) {
            if (at->second.owner != session) {
                ++at;
                continue;
            }
            gone.push_back(std::move(at->second));
            at = m_sessions.erase(at);
        }
    }
    if (!gone.empty())
        logLine(LogLevel::Info,
            std::to_string(gone.size()) + " sampling sessions of " + session + " have ended");
    forget(gone);
}

std::size_t SamplingSessions::count() const
{
    const std::scoped_lock lock(m_mutex);
    return m_sessions.size();
}

std::vector<std::string> SamplingSessions::idsOf(const std::string& session) const
{
    const std::scoped_lock lock(m_mutex);
    std::vector<std::string> ids;
    for (const auto& [id, entry] : m_sessions)
        if (entry.owner == session)
            ids.push_back(id);
    return ids;
}

} // namespace desk::local
