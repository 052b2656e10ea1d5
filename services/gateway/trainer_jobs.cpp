// SPDX-License-Identifier: GPL-3.0-or-later
// Trainer jobs: what is checked before a creation, single calls, training shapes.
#include "services/errand.h"
#include "services/gateway/gateway_calls.h"
#include "services/gateway/trainer_job_manager.h"

#include <QRandomGenerator>

#include <algorithm>
#include <charconv>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    constexpr std::size_t kMaxDisplayName = 63;
    constexpr double kMaxInactivitySeconds = 3 * 3600;

    /// Seconds of a protobuf duration, "1800s" or "0.5s" with at most nine digits; nullopt if it is
    /// none.
    std::optional<double> durationSeconds(std::string_view text)
    {
        if (text.size() < 2 || text.back() != 's')
            return std::nullopt;
        text.remove_suffix(1);
        const bool isNegative = text.front() == '-';
        auto digits = text.substr(isNegative ? 1 : 0);
        const auto dot = digits.find('.');
        const auto fraction =
            dot == std::string_view::npos ? std::string_view("0") : digits.substr(dot + 1);
        const auto whole = digits.substr(0, dot);
        const auto areDigits = [](std::string_view part) {
            return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
                return c >= '0' && c <= '9';
            });
        };
        constexpr std::size_t kMostDigits = 9;
        if (!areDigits(whole) || !areDigits(fraction) || whole.size() > 12
            || fraction.size() > kMostDigits)
            return std::nullopt;
        double seconds = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
        return isNegative ? -seconds : seconds;
    }

    void checkInactivity(const std::string& text, std::vector<std::string>& problems)
    {
        if (text.empty())
            return;
        const auto seconds = durationSeconds(text);
        if (!seconds)
            problems.push_back("the inactivity timeout is a duration such as 1800s, not " + text);
        else if (*seconds < 0)
            problems.emplace_back("the inactivity timeout is negative");
        else if (*seconds > kMaxInactivitySeconds)
            problems.emplace_back("the inactivity timeout must be at most 3 hours");
    }

} // namespace

std::vector<std::string> checkCreateJob(const CreateJob& request)
{
    std::vector<std::string> problems;
    if (request.baseModel.empty())
        problems.emplace_back("a trainer job needs a base model");
    if (request.loraRank < 0)
        problems.emplace_back("the LoRA rank is negative");
    if (request.displayName.size() > kMaxDisplayName)
        problems.emplace_back("the display name is longer than 63 characters");
    checkInactivity(request.inactivityTimeout, problems);
    if (request.projectionHeadDim.value_or(0) < 0)
        problems.emplace_back("the dimension of the projection head is negative");
    if (!request.trainingShape.empty()) {
        if (!isTrainingShapeName(request.trainingShape))
            problems.push_back("a training shape is accounts/<account>/trainingShapes/<shape>, "
                               "perhaps with /versions/<version>, not "
                + request.trainingShape);
        if (request.nodeCount || request.acceleratorCount || !request.acceleratorType.empty())
            problems.emplace_back(
                "a training shape decides nodes and accelerators; leave them out");
    }
    return problems;
}

std::string TrainerJobManager::newJobId()
{
    const auto digits = QString::number(QRandomGenerator::system()->generate(), 16);
    return "training-api-service-" + digits.rightJustified(8, u'0').toStdString();
}

QFuture<Result<std::optional<TrainerJob>>> TrainerJobManager::tryGet(const std::string& job)
{
    using Found = std::optional<TrainerJob>;
    return mapFuture<Found>(m_client.getJob(job), this, [](Result<TrainerJob> row) {
        if (row)
            return Result<Found>(Found(*std::move(row)));
        return row.error().code == Error::Code::NotFound ? Result<Found>(Found())
                                                         : Result<Found>(row.error());
    });
}

QFuture<Status> TrainerJobManager::cancel(const std::string& job)
{
    return m_client.cancelJob(job);
}

QFuture<Status> TrainerJobManager::remove(const std::string& job)
{
    return m_client.deleteJob(job);
}

QFuture<Result<TrainingProfile>> TrainerJobManager::resolveTrainingProfile(const std::string& shape)
{
    if (!isTrainingShapeName(shape))
        return finishedFuture<TrainingProfile>(Error { Error::Code::Usage,
            "\"" + shape + "\" is no training shape", "Nothing was sent",
            "Give accounts/<account>/trainingShapes/<shape>, perhaps with /versions/<version>",
            {} });
    const bool isVersion = shape.find("/versions/") != std::string::npos;
    auto request = makeRequest("GET", "read the training shape " + shape, true);
    if (!isVersion)
        request.url.setQuery(u"filter=latest_validated%3Dtrue&pageSize=1"_s, QUrl::StrictMode);
    return m_client.call<TrainingProfile>(isVersion ? shape : shape + "/versions", "trainingShapes",
        std::move(request),
        decodedBy(isVersion ? decodeTrainingProfile : decodeFirstTrainingProfile));
}

} // namespace desk
