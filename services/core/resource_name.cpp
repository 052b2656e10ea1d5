// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/core/resource_name.h"

#include <algorithm>

namespace desk {

namespace {

    bool isUsableSegment(std::string_view segment)
    {
        return !segment.empty() && segment != "." && segment != ".."
            && std::none_of(segment.begin(), segment.end(),
                [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    }

    std::vector<std::string_view> split(std::string_view name)
    {
        std::vector<std::string_view> parts;
        while (true) {
            const auto slash = name.find('/');
            parts.push_back(name.substr(0, slash));
            if (slash == std::string_view::npos)
                return parts;
            name.remove_prefix(slash + 1);
        }
    }

    Error notAName(std::string_view name, const char* shape)
    {
        return { Error::Code::Usage,
            "'" + std::string(name.substr(0, 200)) + "' is not a name of the form " + shape, {}, {},
            {} };
    }

} // namespace

std::string JobName::toString() const
{
    return "accounts/" + account + "/rlorTrainerJobs/" + job;
}

std::string CheckpointName::toString() const
{
    return jobName().toString() + "/checkpoints/" + checkpoint;
}

Result<JobName> parseJobName(std::string_view name)
{
    const auto parts = split(name);
    if (parts.size() != 4 || parts[0] != "accounts" || parts[2] != "rlorTrainerJobs"
        || !isUsableSegment(parts[1]) || !isUsableSegment(parts[3]))
        return notAName(name, "accounts/<account>/rlorTrainerJobs/<job>");
    return JobName { std::string(parts[1]), std::string(parts[3]) };
}

Result<CheckpointName> parseCheckpointName(std::string_view name)
{
    const auto parts = split(name);
    if (parts.size() != 6 || parts[0] != "accounts" || parts[2] != "rlorTrainerJobs"
        || parts[4] != "checkpoints" || !isUsableSegment(parts[1]) || !isUsableSegment(parts[3])
        || !isUsableSegment(parts[5]))
        return notAName(name, "accounts/<account>/rlorTrainerJobs/<job>/checkpoints/<checkpoint>");
    return CheckpointName { std::string(parts[1]), std::string(parts[3]), std::string(parts[5]) };
}

std::string_view lastSegment(std::string_view name) noexcept
{
    const auto slash = name.rfind('/');
    return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

std::string modelName(std::string_view account, std::string_view model)
{
    return "accounts/" + std::string(account) + "/models/" + std::string(model);
}

std::string deploymentName(std::string_view account, std::string_view deployment)
{
    return "accounts/" + std::string(account) + "/deployments/" + std::string(deployment);
}

std::vector<std::string> validateOutputModelId(std::string_view id)
{
    if (id.empty())
        return { "output_model_id is required" };
    std::vector<std::string> problems;
    const bool isClean = std::all_of(id.begin(), id.end(),
        [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
    if (!isClean)
        problems.push_back("output_model_id '" + std::string(id)
            + "' contains invalid characters. Must be lowercase a-z, 0-9, or hyphen.");
    if (id.size() > 63)
        problems.push_back("output_model_id '" + std::string(id) + "' is too long ("
            + std::to_string(id.size()) + " chars). Maximum is 63 characters.");
    return problems;
}

std::string trainerUrl(std::string_view baseUrl, const JobName& job)
{
    while (!baseUrl.empty() && baseUrl.back() == '/')
        baseUrl.remove_suffix(1);
    return std::string(baseUrl) + "/training/v1/rlorTrainerJobs/" + job.account + '/' + job.job;
}

} // namespace desk
