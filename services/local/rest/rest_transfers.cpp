// SPDX-License-Identifier: GPL-3.0-or-later
// Downloads by signed links, and copies of checkpoints.
#include "services/codecs/json_text.h"
#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/rest/tar_archive.h"
#include "services/local/rest/tinker_rest.h"
#include "services/local/server/auth.h"

#include <algorithm>

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    constexpr auto kLinkLife = std::chrono::hours(1);
    /// Of the largest model that the engine runs, with room.
    constexpr std::uint64_t kMaxDownload = std::uint64_t { 1 } << 30;
    constexpr const char* kArchiveFile = "archive.tar";

    std::vector<std::string> filesOf(const fs::path& folder)
    {
        std::vector<std::string> names;
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(folder, error))
            if (entry.is_regular_file(error))
                names.push_back(entry.path().filename().string());
        std::sort(names.begin(), names.end());
        return names;
    }

    std::string downloadPath(const CheckpointRow& row, const std::string& file)
    {
        return "/download/" + (row.run.empty() ? row.job : row.run) + "/" + spaceWord(row.space)
            + "/" + row.id + "/" + file;
    }

    const char* saveName(CheckpointSpace space)
    {
        switch (space) {
        case CheckpointSpace::State:
            return "save_weights";
        case CheckpointSpace::Sampler:
            return "save_weights_for_sampler";
        case CheckpointSpace::External:
            break;
        }
        return "save_weights_external";
    }

    HttpResponse fileResponse(std::string bytes, const std::string& name)
    {
        HttpResponse response;
        response.contentType = "application/octet-stream";
        response.headers.push_back(
            { "Content-Disposition", "attachment; filename=\"" + name + "\"" });
        response.body = std::move(bytes);
        return response;
    }

    /// Path segments percent-encoded, slashes kept.
    std::string encodedPath(std::string_view path)
    {
        std::string result;
        while (!path.empty()) {
            const auto slash = path.find('/');
            result += percentEncoded(path.substr(0, slash));
            if (slash == std::string_view::npos)
                break;
            result += '/';
            path.remove_prefix(slash + 1);
        }
        return result;
    }

} // namespace

std::string TinkerRest::link(
    const HttpRequest& request, const std::string& path, Time expires) const
{
    // The address by which the client reached us is one that it can reach again.
    return std::string(m_isTls ? "https://" : "http://") + std::string(request.header("Host"))
        + encodedPath(path) + "?" + m_signer.query(path, expires);
}

TinkerRest::Answer TinkerRest::archive(const HttpRequest& request)
{
    auto row = checkpointOf(request);
    if (!row)
        return row.error();
    const auto expires = m_store.now() + kLinkLife;
    return jsonResponse(
        encodeArchiveUrl(link(request, downloadPath(*row, kArchiveFile), expires), expires));
}

TinkerRest::Answer TinkerRest::externalUrls(const HttpRequest& request)
{
    auto row = checkpointOf(request);
    if (!row)
        return row.error();
    if (row->space != CheckpointSpace::External)
        return Error { Error::Code::Usage,
            "only external weights have links to their files, and " + row->id + " are "
                + spaceWord(row->space),
            "nothing was changed", "save them with save_weights_external first", {} };
    const auto expires = m_store.now() + kLinkLife;
    std::vector<std::pair<std::string, std::string>> urls;
    for (const auto& name : filesOf(m_store.absolute(row->folder)))
        urls.emplace_back(name, link(request, downloadPath(*row, name), expires));
    return jsonResponse(encodeExternalUrls(urls, expires));
}

TinkerRest::Answer TinkerRest::download(const HttpRequest& request)
{
    const auto path = request.path();
    auto proof = m_signer.check(
        path, request.queryValue("expires"), request.queryValue("signature"), m_store.now());
    if (!proof)
        return proof.error();
    const auto file = request.parameter("file");
    if (request.parameter("kind") == "trace") {
        auto session = m_store.session(request.parameter("run"));
        if (!session)
            return session.error();
        auto trace = traceOf(*session);
        return trace ? Answer(fileResponse(*std::move(trace), file)) : Answer(trace.error());
    }
    auto row = checkpointOf(request);
    if (!row)
        return row.error();
    const auto folder = m_store.absolute(row->folder);
    if (file == kArchiveFile) {
        auto archive = tarOfFolder(folder, kMaxDownload);
        return archive ? Answer(fileResponse(*std::move(archive), row->id + ".tar"))
                       : Answer(archive.error());
    }
    const auto names = filesOf(folder);
    if (std::find(names.begin(), names.end(), file) == names.end())
        return Error { Error::Code::NotFound, "the checkpoint has no file " + file,
            "nothing was sent", {}, {} };
    auto bytes = readSmallFile(folder / file, kMaxDownload);
    return bytes ? Answer(fileResponse(*std::move(bytes), file)) : Answer(bytes.error());
}

Result<std::string> TinkerRest::traceOf(const SessionRow& session) const
{
    auto runs = m_store.runsOf(session.id);
    if (!runs)
        return runs.error();
    const auto begin = session.created.value_or(Time {});
    std::vector<TraceEvent> events;
    events.push_back({ "session", "session", begin, session.lastSeen.value_or(begin), {} });
    for (const auto& run : *runs) {
        const auto began = run.created.value_or(begin);
        events.push_back({ "run", run.id, began, run.lastRequest.value_or(began), {} });
        auto saves = m_store.checkpointsOfRun(run.id);
        if (!saves)
            return saves.error();
        for (const auto& save : *saves) {
            const auto at = save.record.created.value_or(began);
            events.push_back({ saveName(save.space), run.id, at, save.record.updated.value_or(at),
                std::string(spaceWord(save.space)) + "/" + save.id });
        }
    }
    for (auto& call : m_traces.of(session.id))
        events.push_back(std::move(call));
    return encodeTraceEvents(session.id, events);
}

Result<RunRow> TinkerRest::runForCopy(
    const CopyWeights& wanted, const CheckpointRow& source, const std::string& idempotencyKey)
{
    const auto digits =
        idempotencyKey.empty() ? randomHex(12) : sha256Hex(idempotencyKey).substr(0, 12);
    SessionRow session;
    session.id = wanted.session.empty() ? "copy-" + digits : wanted.session;
    if (wanted.session.empty()) {
        session.project = wanted.project;
        session.displayName = "Copy of " + source.id;
        session.end = "success";
        if (!m_store.session(session.id))
            if (auto status = m_store.putSession(session); !status)
                return status.error();
    } else if (auto present = m_store.session(wanted.session); !present)
        return present.error();
    RunRow run;
    run.id = session.id + ":train:" + std::to_string(wanted.modelSeqId.value_or(0));
    if (auto present = m_store.run(run.id))
        return present;
    run.session = session.id;
    run.job = ObjectStore::jobOfRun(run.id);
    run.baseModel = source.baseModel;
    run.loraRank = source.loraRank;
    if (const auto origin = m_store.run(source.run)) {
        run.loraRank = origin->loraRank;
        run.trainsAttention = origin->trainsAttention;
        run.trainsMlp = origin->trainsMlp;
        run.trainsUnembed = origin->trainsUnembed;
    }
    if (!m_store.job(run.job)) {
        JobRow job;
        job.id = run.job;
        job.job.displayName = "Copy of " + source.id;
        job.job.baseModel = source.baseModel;
        job.job.loraRank = source.loraRank;
        job.job.state = JobState::Completed;
        job.job.created = job.job.completed = m_store.now();
        job.job.createdBy = "tinker";
        if (auto status = m_store.addJob(job); !status)
            return status.error();
    }
    if (auto status = m_store.putRun(run); !status)
        return status.error();
    return run;
}

TinkerRest::Answer TinkerRest::copyWeights(const HttpRequest& request)
{
    auto wanted = decodeCopyWeights(request.body);
    if (!wanted)
        return wanted.error();
    if (wanted->project.empty() && wanted->session.empty())
        return Error { Error::Code::Usage, "the copy has no destination", "nothing was copied",
            "send destination_project_id, or session_id and model_seq_id", {} };
    if (wanted->ttlSeconds && (*wanted->ttlSeconds < 3600 || *wanted->ttlSeconds > 315'360'000))
        return Error { Error::Code::Usage, "ttl_seconds is out of range", "nothing was copied",
            "send 3600 to 315360000, or leave it out", {} };
    auto source = namedWeights(request, wanted->source);
    if (!source)
        return source.error();
    if (source->record.type == CheckpointType::InferenceArcV2)
        return Error { Error::Code::Refused,
            "the checkpoint " + source->id + " is a delta and no weights by itself",
            "nothing was copied", "copy a base save", {} };
    auto run = runForCopy(*wanted, *source, std::string(request.header("X-Idempotency-Key")));
    if (!run)
        return run.error();
    const TinkerPath path { run->id, spaceWord(source->space), source->id };
    if (m_store.checkpointOfRun(run->id, source->space, source->id))
        return jsonResponse(encodeCopied(path.toString())); // the same request again
    auto row = *source;
    row.run = run->id;
    row.job = run->job;
    row.isPublic = false;
    row.record.created = m_store.now();
    row.record.expires.reset();
    if (wanted->ttlSeconds)
        row.record.expires = m_store.now() + std::chrono::seconds(*wanted->ttlSeconds);
    row.folder = m_store.freshFolder(
        ObjectStore::jobFolder(run->job) + "/" + spaceWord(row.space) + "/" + row.id);
    auto copied = copyFolderSafely(m_store.absolute(source->folder), m_store.absolute(row.folder));
    if (!copied)
        return copied.error();
    if (auto status = m_store.addCheckpoint(row, false); !status) {
        removeTree(m_store.absolute(row.folder));
        return status.error();
    }
    return jsonResponse(encodeCopied(path.toString()));
}

} // namespace desk::local
