// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/trainer/sampling_client.h"

#include "services/codecs/trainer_codec.h"
#include "services/trainer/future_poller.h"

#include <cmath>

namespace desk {
namespace {

    constexpr int kMaxResamples = 8;
    constexpr const char* kSampling = "draw a sample";

    std::string_view samplingBodyOf(const HttpReply& reply)
    {
        return { reply.body.constData(), static_cast<std::size_t>(reply.body.size()) };
    }

} // namespace

FiretitanSamplingClient::FiretitanSamplingClient(
    std::shared_ptr<TrainerSession> session, std::string samplingSessionId, QObject* parent)
    : QObject(parent)
    , m_session(std::move(session))
    , m_id(std::move(samplingSessionId))
{
}

QFuture<Result<SampleResult>> FiretitanSamplingClient::sample(SampleRequest request)
{
    if (request.prompt.empty() || request.numSamples < 1)
        return finishedFuture<SampleResult>(Error { Error::Code::Usage,
            request.prompt.empty() ? "The prompt is empty" : "num_samples must be 1 or more",
            "Nothing was sent", "Give a prompt of at least one token and ask for a sample", {} });
    auto errand = Errand<SampleResult>::start(this);
    auto future = errand->future();
    send(errand, std::move(request), kMaxResamples);
    return future;
}

void FiretitanSamplingClient::send(
    const std::shared_ptr<Errand<SampleResult>>& errand, SampleRequest request, int left)
{
    request.samplingSessionId = m_id;
    request.seqId = m_nextSeqId++;
    TrainerCall call;
    call.rpc = "asample";
    call.body = encodeSample(request);
    call.doing = kSampling;
    errand->awaitValue(m_session->call(std::move(call), this),
        [this, errand, request = std::move(request), left](const HttpReply& reply) mutable {
            const auto ref = decodeFutureRef(samplingBodyOf(reply));
            if (!ref)
                return errand->finish(ref.error());
            errand->awaitValue(m_session->poller().await(ref->requestId, m_id, "Sample", kSampling),
                [this, errand, request = std::move(request), left](
                    const PollAnswer& answer) mutable {
                    if (!answer.isExpired)
                        return errand->finish(decodeSampleResult(answer.body));
                    if (left == 0)
                        return errand->finish(Error { Error::Code::Backend, answer.body,
                            "No sample was drawn", "Try again later", {} });
                    errand->after(m_session->timing().resampleDelay,
                        [this, errand, request = std::move(request), left]() mutable {
                            send(errand, std::move(request), left - 1);
                        });
                });
        });
}

QFuture<Result<std::vector<std::optional<float>>>> FiretitanSamplingClient::computeLogprobs(
    std::vector<std::int64_t> prompt)
{
    using Logprobs = std::vector<std::optional<float>>;
    SampleRequest request;
    request.prompt = std::move(prompt);
    request.maxTokens = 1;
    request.wantsPromptLogprobs = true;
    return mapFuture<Logprobs>(
        sample(std::move(request)), this, [](const Result<SampleResult>& result) {
            if (!result)
                return Result<Logprobs>(result.error());
            if (!result->promptLogprobs)
                return Result<Logprobs>(Error { Error::Code::Malformed,
                    "The answer has no log-probabilities of the prompt", {}, {}, {} });
            Logprobs logprobs;
            for (const float value : *result->promptLogprobs)
                logprobs.push_back(std::isnan(value) ? std::nullopt : std::optional(value));
            return Result<Logprobs>(std::move(logprobs));
        });
}

QFuture<Result<SamplerInfo>> FiretitanSamplingClient::info()
{
    TrainerCall call;
    call.rpc = "samplers/" + m_id;
    call.doing = "read what the sampler draws from";
    call.isGet = true;
    call.budget = std::chrono::seconds(30);
    return mapFuture<SamplerInfo>(
        m_session->call(std::move(call), this), this, [](const Result<HttpReply>& reply) {
            return reply.and_then(
                [](const HttpReply& answer) { return decodeSamplerInfo(samplingBodyOf(answer)); });
        });
}

} // namespace desk
