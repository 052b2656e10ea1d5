// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/sampling/sampling_service.h"

#include "services/codecs/error_codec.h"
#include "services/codecs/sample_proto.h"
#include "services/codecs/trainer_codec.h"
#include "services/local/trainer/wire_convert.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <limits>
#include <random>
#include <stop_token>
#include <utility>
#include <vector>

namespace desk::local {

namespace {

    constexpr std::size_t kParseSampleElsewhere = 256 * 1024; // bytes of a body

    HttpResponse samplingError(const Error& error)
    {
        return detailResponse(httpStatusFor(error.code), wireMessage(error));
    }

    HttpResponse tooManySamples(const std::string& message)
    {
        auto response = detailResponse(429, message);
        response.headers.push_back({ "Retry-After", "1" });
        return response;
    }

    /// The samples of one request differ, and none of them is the first one of another seed.
    std::uint64_t seedOfSample(std::uint64_t seed, int index)
    {
        if (index == 0)
            return seed;
        std::uint64_t mixed = seed + 0x9E3779B97F4A7C15ULL * static_cast<std::uint64_t>(index);
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
        return mixed ^ (mixed >> 31);
    }

    Result<std::vector<std::int32_t>> tokensOf(
        const std::vector<std::int64_t>& ids, const char* what)
    {
        std::vector<std::int32_t> tokens;
        tokens.reserve(ids.size());
        for (const auto id : ids) {
            if (id < 0 || id > std::numeric_limits<std::int32_t>::max())
                return Error { Error::Code::Usage,
                    std::string(what) + " " + std::to_string(id) + " is not in the vocabulary",
                    "nothing was sampled", "use the tokenizer of the model", {} };
            tokens.push_back(static_cast<std::int32_t>(id));
        }
        return tokens;
    }

    std::optional<SampleTopk> wireTopk(TopLogprobs&& top)
    {
        return SampleTopk { top.count, std::move(top.tokens), std::move(top.logprobs) };
    }

} // namespace

struct SamplingService::Job
{
    SampleRequest request;
    std::string requestId;
    std::uint64_t seed = 0;
    std::stop_source stop;
    std::mutex mutex; // guards what follows
    SampleResult result;
    int left = 0;
    bool isEnded = false;
};

SamplingService::SamplingService(SamplingSessions& sessions, FutureTable& futures, FairQueue& queue,
    TaskPool& parsers, SampleLog::After after, Limits limits)
    : m_sessions(sessions)
    , m_futures(futures)
    , m_queue(queue)
    , m_parsers(parsers)
    , m_log(std::move(after))
    , m_limits(limits)
{
    m_sessions.setOnEnded([this](const std::string& id) { dropSession(id); });
}

SamplingService::~SamplingService()
{
    m_sessions.setOnEnded({});
}

void SamplingService::addRoutes(Router& router)
{
    const auto post = [&](const char* name, auto method) {
        router.add("POST", std::string("/api/v1/") + name,
            [this, method](
                HttpRequest request, Responder responder) { (this->*method)(request, responder); });
    };
    post("create_sampling_session", &SamplingService::createSession);
    post("join_sampling_session", &SamplingService::joinSession);
    post("retrieve_futures", &SamplingService::retrieveFutures);
    post("cancel_future", &SamplingService::cancelFuture);
    router.add("POST", "/api/v1/asample", [this](HttpRequest request, Responder responder) {
        asample(std::move(request), responder);
    });
    router.add("GET", "/api/v1/samplers/{id}",
        [this](HttpRequest request, Responder responder) { samplerInfo(request, responder); });
}

void SamplingService::stop()
{
    std::map<std::string, JobPtr> jobs;
    {
        const std::scoped_lock lock(m_mutex);
        jobs = m_jobs;
    }
    for (const auto& [id, job] : jobs)
        job->stop.request_stop();
}

void SamplingService::createSession(const HttpRequest& request, const Responder& responder)
{
    auto wanted = decodeCreateSamplingSession(request.body);
    if (!wanted)
        return responder.send(samplingError(wanted.error()));
    auto source = wanted->modelPath.empty() ? m_sessions.baseSource(wanted->baseModel)
                                            : m_sessions.pathSource(wanted->modelPath);
    if (!source)
        return responder.send(samplingError(source.error()));
    auto id = m_sessions.create(wanted->sessionId, wanted->sequence, *source);
    if (!id) {
        // 409 would be sent again for minutes (trainer.md section 9.1).
        auto error = id.error();
        if (error.code == Error::Code::Conflict)
            error.code = Error::Code::Refused;
        return responder.send(samplingError(error));
    }
    responder.send(jsonResponse(encodeSamplingSessionCreated(*id)));
}

void SamplingService::joinSession(const HttpRequest& request, const Responder& responder)
{
    auto id = decodeJoinSamplingSession(request.body);
    if (!id)
        return responder.send(samplingError(id.error()));
    const auto counter = m_sessions.join(*id);
    if (!counter)
        return responder.send(samplingError(counter.error()));
    responder.send(jsonResponse(encodeSamplingSessionJoined(*counter)));
}

void SamplingService::samplerInfo(const HttpRequest& request, const Responder& responder)
{
    const auto id = request.parameter("id");
    const auto source = m_sessions.source(id);
    if (!source)
        return responder.send(samplingError(source.error()));
    responder.send(jsonResponse(encodeSamplerInfo({ id, source->baseModel, source->modelPath })));
}

void SamplingService::asample(HttpRequest request, const Responder& responder)
{
    if (request.body.size() < kParseSampleElsewhere)
        return submit(request.body, responder);
    m_parsers.post(
        [this, responder, body = std::make_shared<std::string>(std::move(request.body))] {
            submit(*body, responder);
        });
}

void SamplingService::submit(const std::string& body, const Responder& responder)
{
    auto wanted = decodeSample(body);
    if (!wanted)
        return responder.send(samplingError(wanted.error()));
    if (const auto source = m_sessions.source(wanted->samplingSessionId); !source)
        return responder.send(samplingError(source.error()));
    const auto waiting = m_queue.waiting(wanted->samplingSessionId);
    if (waiting + static_cast<std::size_t>(wanted->numSamples) > m_limits.waitingOfSession
        || m_queue.waiting() + static_cast<std::size_t>(wanted->numSamples) > m_limits.waiting)
        return responder.send(tooManySamples(std::to_string(waiting)
            + " samples of this session wait already; nothing was taken; send it again"));
    const auto ticket =
        m_futures.submit(wanted->samplingSessionId, wanted->seqId, std::hash<std::string> {}(body));
    if (ticket.isFull)
        return responder.send(
            tooManySamples("too many results wait for their clients; send it again"));
    if (ticket.isOtherRequest)
        return responder.send(detailResponse(400,
            "seq_id " + std::to_string(wanted->seqId) + " of " + wanted->samplingSessionId
                + " was used for another request; nothing was sampled"));
    SampleTicket answer;
    answer.requestId = ticket.requestId;
    for (int i = 0; i < wanted->numSamples; ++i)
        answer.sequenceIds.push_back(ticket.requestId + ":" + std::to_string(i));
    if (ticket.isNew) {
        auto job = std::make_shared<Job>();
        job->requestId = ticket.requestId;
        job->request = *std::move(wanted);
        std::random_device random;
        job->seed = job->request.seed
            ? *job->request.seed
            : (std::uint64_t { random() } << 32) | std::uint64_t { random() };
        job->left = job->request.numSamples;
        job->result.sequences.resize(static_cast<std::size_t>(job->left));
        {
            const std::scoped_lock lock(m_mutex);
            m_jobs[job->requestId] = job;
        }
        m_futures.onCanceled(job->requestId, [this, weak = std::weak_ptr(job)] {
            if (const auto live = weak.lock()) {
                live->stop.request_stop();
                end(live);
            }
        });
        for (int i = 0; i < job->request.numSamples; ++i)
            m_queue.post(job->request.samplingSessionId, [this, job, i] { draw(job, i); });
    }
    responder.send(jsonResponse(encodeSampleTicket(answer)));
}

namespace {

    Result<SamplingParams> paramsOf(
        const SampleRequest& request, std::uint64_t seed, int index, const InferenceModel& model)
    {
        SamplingParams params;
        const auto most = static_cast<std::int64_t>(model.config().maxPositions);
        params.maxTokens =
            static_cast<int>(std::clamp<std::int64_t>(request.maxTokens.value_or(most), 1, most));
        params.temperature = request.temperature;
        params.topP = request.topP;
        params.topK =
            static_cast<int>(std::clamp<std::int64_t>(request.topK, 0, model.config().vocabSize));
        params.seed = seedOfSample(seed, index);
        params.stopsAtEos = !request.hasStop;
        params.keepsStop = true;
        auto stops = tokensOf(request.stopTokens, "the stop token");
        if (!stops)
            return stops.error();
        params.stopTokens = *std::move(stops);
        params.topLogprobs = request.topkSampleLogprobs;
        if (index > 0)
            return params; // what is said of the prompt is said once
        params.wantsPromptLogprobs = request.wantsPromptLogprobs;
        params.promptLogprobsLastN = request.promptLogprobsLastN;
        params.promptTopLogprobs = request.topkPromptLogprobs;
        params.promptAltTokens = request.promptAltTokens;
        if (request.targets) {
            params.promptTargets = request.targets->tokens;
            params.promptTargetCandidates = static_cast<int>(request.targets->columns);
        }
        return params;
    }

    void takePrompt(const SampleRequest& request, Completion& made, SampleResult& result)
    {
        if (request.wantsPromptLogprobs)
            result.promptLogprobs = std::move(made.promptLogprobs);
        if (request.topkPromptLogprobs > 0)
            result.topkPrompt = wireTopk(std::move(made.promptTop));
        if (request.targets) {
            result.targets = request.targets;
            result.targetLogprobs = std::move(made.promptTargetLogprobs);
            // The client's contract: 0.0 where the request had -1, never NaN.
            for (std::size_t i = 0; i < result.targetLogprobs.size(); ++i)
                if (request.targets->tokens[i] < 0)
                    result.targetLogprobs[i] = 0;
        }
        if (request.promptAltTokens > 0) {
            result.altTokens = request.promptAltTokens;
            result.promptAltTokens.assign(made.promptAltTokens.begin(), made.promptAltTokens.end());
            result.promptAltLogprobs = std::move(made.promptAltLogprobs);
        }
    }

    Result<Completion> drawSequence(SamplingSessions& sessions, const SampleRequest& request,
        std::uint64_t seed, int index, const std::stop_token& stop)
    {
        auto model = sessions.open(request.samplingSessionId);
        if (!model)
            return model.error();
        const auto prompt = tokensOf(request.prompt, "the token");
        if (!prompt)
            return prompt.error();
        const auto params = paramsOf(request, seed, index, **model);
        if (!params)
            return params.error();
        if (!request.stopTexts.empty() && !(*model)->tokenizer())
            return Error { Error::Code::Usage,
                "this model takes no stop texts: " + (*model)->tokenizerProblem(),
                "nothing was sampled", "send the stops as token ids", {} };
        return (*model)->generate(*prompt, *params, stop, request.stopTexts);
    }

} // namespace

void SamplingService::draw(const JobPtr& job, int index)
{
    if (job->stop.stop_requested())
        return fail(job,
            Error {
                Error::Code::Canceled, "the sample was canceled", "nothing was sampled", {}, {} });
    Result<Completion> made = Error {};
    try {
        made = drawSequence(m_sessions, job->request, job->seed, index, job->stop.get_token());
    } catch (const std::exception& problem) {
        made =
            Error { Error::Code::OutOfMemory, std::string("the sample failed: ") + problem.what(),
                "nothing was sampled", "sample fewer or shorter sequences at once", {} };
    }
    if (!made)
        return fail(job, made.error());
    {
        const std::scoped_lock lock(job->mutex);
        if (job->isEnded)
            return;
        auto& sequence = job->result.sequences[static_cast<std::size_t>(index)];
        sequence.isStopped = made->finishReason == FinishReason::Stop;
        sequence.tokens = std::move(made->tokens);
        sequence.logprobs = std::move(made->logprobs);
        if (job->request.topkSampleLogprobs > 0)
            sequence.topk = wireTopk(std::move(made->top));
        if (index == 0)
            takePrompt(job->request, *made, job->result);
        if (--job->left > 0)
            return;
    }
    finish(job);
}

void SamplingService::finish(const JobPtr& job)
{
    FutureResult result { encodeSampleResult(job->result), encodeSampleProto(job->result) };
    const auto bytes = static_cast<std::int64_t>(result.protobuf.size());
    m_futures.succeed(job->requestId, std::move(result));
    m_log.ended(
        job->request.samplingSessionId, job->request.seqId, { job->requestId, false, bytes });
    end(job);
}

void SamplingService::fail(const JobPtr& job, const Error& error)
{
    {
        const std::scoped_lock lock(job->mutex);
        if (std::exchange(job->isEnded, true))
            return;
    }
    job->stop.request_stop(); // one answer for all its sequences
    m_futures.fail(job->requestId, wireMessage(error), futureCategory(error));
    m_log.ended(
        job->request.samplingSessionId, job->request.seqId, { job->requestId, true, std::nullopt });
    end(job);
}

void SamplingService::end(const JobPtr& job)
{
    const std::scoped_lock lock(m_mutex);
    m_jobs.erase(job->requestId);
}

void SamplingService::dropSession(const std::string& samplingSession)
{
    std::vector<JobPtr> jobs;
    {
        const std::scoped_lock lock(m_mutex);
        for (const auto& [id, job] : m_jobs)
            if (job->request.samplingSessionId == samplingSession)
                jobs.push_back(job);
    }
    for (const auto& job : jobs)
        fail(job,
            Error { Error::Code::Canceled, "the sampling session has ended", "nothing was sampled",
                "create a new sampling client", {} });
    m_log.drop(samplingSession);
}

void SamplingService::retrieveFutures(const HttpRequest& request, const Responder& responder)
{
    const auto wanted = decodeRetrieveFutures(request.body);
    if (!wanted)
        return responder.send(samplingError(wanted.error()));
    if (const auto source = m_sessions.source(wanted->samplingSessionId); !source)
        return responder.send(samplingError(source.error()));
    m_log.poll(*wanted, responder);
}

void SamplingService::cancelFuture(const HttpRequest& request, const Responder& responder)
{
    const auto id = decodeRetrieve(request.body);
    if (!id)
        return responder.send(samplingError(id.error()));
    bool isSample = false;
    {
        const std::scoped_lock lock(m_mutex);
        isSample = m_jobs.contains(*id);
    }
    // A training call is applied although nobody waits for it (tinker-0.38.md section 11.5).
    if (isSample)
        (void)m_futures.cancel(*id);
    responder.send(jsonResponse(R"({"type":"cancel_future"})"));
}

} // namespace desk::local
