// SPDX-License-Identifier: GPL-3.0-or-later
// forward, forward_backward and losses of one's own: calls that travel in parts.
#include "services/errand.h"
#include "services/trainer/forward_chunks.h"
#include "services/trainer/submission_queue.h"
#include "services/trainer/training_client.h"

#include <QPromise>
#include <QThreadPool>

#include <exception>

namespace desk {
namespace {

    Error passRefused(std::string message, const char* next)
    {
        return { Error::Code::Usage, std::move(message), "Nothing was sent", next, {} };
    }

    /// The loss, on a thread of the pool, with exceptions made errors.
    QFuture<Result<CustomLossValue>> evaluated(CustomLoss loss,
        std::shared_ptr<const std::vector<Datum>> data, std::vector<std::vector<float>> logprobs)
    {
        auto promise = std::make_shared<QPromise<Result<CustomLossValue>>>();
        auto future = promise->future();
        promise->start();
        QThreadPool::globalInstance()->start(
            [promise, loss = std::move(loss), data = std::move(data),
                logprobs = std::move(logprobs)] {
                const auto failed = [](const std::string& why) {
                    return Error { Error::Code::Usage, "The loss function failed: " + why,
                        "No gradient was sent", "Correct the loss and try again", {} };
                };
                Result<CustomLossValue> value = failed("it gave no value");
                try {
                    if (!promise->isCanceled())
                        value = loss(*data, logprobs);
                } catch (const std::exception& exception) {
                    value = failed(exception.what());
                } catch (...) {
                    value = failed("it threw something that is no exception");
                }
                promise->addResult(std::move(value));
                promise->finish();
            });
        return future;
    }

} // namespace

struct FiretitanTrainingClient::Pass
{
    std::shared_ptr<Errand<ForwardResult>> errand;
    bool isBackward = false;
    std::string lossFn;
    LossConfig config;
    std::vector<ForwardResult> results;
    std::vector<QFuture<Result<std::string>>> parts;
    std::size_t missing = 0;
};

struct FiretitanTrainingClient::Custom
{
    std::shared_ptr<Errand<ForwardResult>> errand;
    std::shared_ptr<const std::vector<Datum>> data;
    CustomLoss loss;
    std::vector<std::vector<float>> logprobs;
    std::vector<std::size_t> sizes; ///< datums of each part
    std::vector<std::int64_t> places; ///< seq_ids of the second phase
};

QFuture<Result<ForwardResult>> FiretitanTrainingClient::forward(
    std::vector<Datum> data, std::string lossFn, LossConfig config)
{
    return run(false, std::move(data), std::move(lossFn), std::move(config));
}

QFuture<Result<ForwardResult>> FiretitanTrainingClient::forwardBackward(
    std::vector<Datum> data, std::string lossFn, LossConfig config)
{
    if (const auto status = checkTrains("computing gradients"); !status)
        return finishedFuture<ForwardResult>(status.error());
    return run(true, std::move(data), std::move(lossFn), std::move(config));
}

QFuture<Result<ForwardResult>> FiretitanTrainingClient::run(
    bool isBackward, std::vector<Datum> data, std::string lossFn, LossConfig config)
{
    if (data.empty())
        return finishedFuture<ForwardResult>(
            passRefused("No data provided", "Give at least one datum"));
    if (lossFn == "grpo") // the SDKs' other name for it
        lossFn = "ppo";
    if (config.texts.count("output") == 0) {
        if (auto problem = problemWithBuiltInData(data, lossFn); !problem.empty())
            return finishedFuture<ForwardResult>(passRefused(std::move(problem),
                "Give every datum target_tokens and what else the loss needs, or compute the loss "
                "yourself with forwardBackwardCustom"));
    }
    const bool countsTokens = isBackward && lossFn == "cross_entropy" && config.texts.empty();
    const double tokens = countsTokens ? responseTokens(data) : 0;
    auto future =
        startPass(isBackward, std::move(lossFn), std::move(config), chunked(std::move(data)), {});
    if (!countsTokens)
        return future;
    return mapFuture<ForwardResult>(
        std::move(future), this, [tokens](Result<ForwardResult> result) {
            if (result)
                result->metrics.try_emplace("response_tokens", tokens);
            return result;
        });
}

/// Sends `chunks`, as new operations or into the places that were reserved for them.
QFuture<Result<ForwardResult>> FiretitanTrainingClient::startPass(bool isBackward,
    std::string lossFn, LossConfig config, std::vector<std::vector<Datum>> chunks,
    const std::vector<std::int64_t>& places)
{
    auto pass = std::make_shared<Pass>();
    pass->errand = Errand<ForwardResult>::start(this);
    pass->isBackward = isBackward;
    pass->lossFn = std::move(lossFn);
    pass->config = std::move(config);
    pass->results.resize(chunks.size());
    pass->missing = chunks.size();
    for (std::size_t i = 0; i < chunks.size(); ++i)
        pass->parts.push_back(submitPart(
            pass, std::move(chunks[i]), places.empty() ? std::nullopt : std::optional(places[i])));
    for (std::size_t i = 0; i < pass->parts.size(); ++i)
        onFinished(pass->parts[i], this,
            [pass, i](const Result<std::string>& body) { takePart(*pass, i, body); });
    auto future = pass->errand->future();
    // A call that has ended early, canceled or failed, needs none of its other parts.
    onFinished(future, this, [pass](const Result<ForwardResult>&) {
        for (auto& part : pass->parts)
            part.cancel();
    });
    return future;
}

QFuture<Result<std::string>> FiretitanTrainingClient::submitPart(
    const std::shared_ptr<Pass>& pass, std::vector<Datum> data, std::optional<std::int64_t> place)
{
    ForwardRequest request;
    request.isBackward = pass->isBackward;
    request.modelId = m_model.modelId;
    request.lossFn = pass->lossFn;
    request.lossConfig = pass->config.numbers;
    request.lossTextConfig = pass->config.texts;
    request.data = std::move(data);
    SubmissionQueue::Operation operation;
    operation.rpc = pass->isBackward ? "forward_backward" : "forward";
    operation.type = pass->isBackward ? "ForwardBackward" : "Forward";
    operation.doing = pass->isBackward ? "compute gradients" : "compute the loss";
    operation.isPartial = pass->missing > 1;
    operation.encode = [request = std::move(request)](std::int64_t seqId) mutable {
        request.seqId = seqId;
        auto body = encodeForward(request);
        if (!body) {
            auto error = body.error();
            error.code = Error::Code::Usage;
            error.unchanged = "Nothing was sent";
            return Result<std::string>(std::move(error));
        }
        request.data = {}; // a repetition sends the text again
        return body;
    };
    return place ? m_queue->fill(*place, std::move(operation))
                 : m_queue->submit(std::move(operation));
}

void FiretitanTrainingClient::takePart(
    Pass& pass, std::size_t part, const Result<std::string>& body)
{
    if (pass.errand->isOver())
        return;
    auto result = body.and_then([](const std::string& json) { return decodeForwardResult(json); });
    if (!result) {
        auto error = result.error();
        if (pass.isBackward && pass.parts.size() > 1)
            error.unchanged = "Part " + std::to_string(part + 1) + " of "
                + std::to_string(pass.parts.size())
                + " failed; gradients of the others may have been added";
        return pass.errand->finish(std::move(error));
    }
    pass.results[part] = *std::move(result);
    if (--pass.missing == 0)
        pass.errand->finish(merged(std::move(pass.results)));
}

QFuture<Result<ForwardResult>> FiretitanTrainingClient::forwardBackwardCustom(
    std::vector<Datum> data, CustomLoss loss)
{
    if (const auto status = checkTrains("computing gradients"); !status)
        return finishedFuture<ForwardResult>(status.error());
    auto problem = data.empty() ? std::string("No data provided") : problemWithCustomData(data);
    if (problem.empty() && !loss)
        problem = "No loss function was given";
    if (!problem.empty())
        return finishedFuture<ForwardResult>(passRefused(std::move(problem),
            "Give datums with target_tokens, and with weights at most beside them"));
    auto custom = std::make_shared<Custom>();
    custom->errand = Errand<ForwardResult>::start(this);
    custom->loss = std::move(loss);
    custom->data = std::make_shared<const std::vector<Datum>>(std::move(data));
    auto chunks = chunked(withZeroWeights(*custom->data));
    for (const auto& chunk : chunks)
        custom->sizes.push_back(chunk.size());
    auto first = startPass(false, "cross_entropy", {}, std::move(chunks), {});
    for (std::size_t i = 0; i < custom->sizes.size(); ++i)
        custom->places.push_back(m_queue->reserve());
    auto future = custom->errand->future();
    // However it ends: what was not sent must not hold up those behind.
    onFinished(future, this, [this, places = custom->places](const Result<ForwardResult>&) {
        for (const auto place : places)
            m_queue->drop(place);
    });
    custom->errand->awaitValue(std::move(first),
        [this, custom](ForwardResult result) { evaluate(custom, std::move(result)); });
    return future;
}

void FiretitanTrainingClient::evaluate(const std::shared_ptr<Custom>& custom, ForwardResult result)
{
    auto logprobs = logprobsOf(result, *custom->data);
    if (!logprobs)
        return custom->errand->finish(logprobs.error());
    custom->logprobs = *std::move(logprobs);
    custom->errand->awaitValue(evaluated(custom->loss, custom->data, custom->logprobs),
        [this, custom](CustomLossValue value) { sendGradients(custom, std::move(value)); });
}

void FiretitanTrainingClient::sendGradients(
    const std::shared_ptr<Custom>& custom, CustomLossValue value)
{
    auto weighted = withGradients(*custom->data, value, custom->logprobs);
    if (!weighted)
        return custom->errand->finish(weighted.error());
    const double tokens = responseTokens(*weighted);
    std::vector<std::vector<Datum>> chunks;
    auto from = weighted->begin();
    for (const auto size : custom->sizes) {
        const auto to = from + static_cast<std::ptrdiff_t>(size);
        chunks.emplace_back(std::make_move_iterator(from), std::make_move_iterator(to));
        from = to;
    }
    auto second = startPass(true, "cross_entropy", {}, std::move(chunks), custom->places);
    custom->errand->awaitValue(std::move(second),
        [errand = custom->errand, tokens, value = std::move(value)](ForwardResult result) {
            result.metrics.try_emplace("response_tokens", tokens);
            result.metrics["loss"] = value.loss;
            for (const auto& [key, metric] : value.metrics)
                result.metrics[key] = metric;
            errand->finish(std::move(result));
        });
}

} // namespace desk
