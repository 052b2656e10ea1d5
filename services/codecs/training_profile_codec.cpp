// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/training_profile_codec.h"

#include "services/codecs/json_read.h"

#include <array>
#include <vector>

namespace desk {
namespace {

    Result<TrainingProfile> profileFromRow(const Json& row)
    {
        auto name = requireName(row, { "name" }, "training shape version");
        if (!name)
            return name.error();
        TrainingProfile profile;
        profile.trainingShapeVersion = *std::move(name);
        const auto* snapshot = findField(row, { "snapshot" });
        if (snapshot == nullptr || !snapshot->is_object())
            return profile;
        profile.trainerImageTag = readText(*snapshot, { "trainerImageTag" });
        profile.maxSupportedContextLength =
            readInt(*snapshot, { "maxSupportedContextLength" }).value_or(0);
        profile.nodeCount = readSmallInt(*snapshot, { "nodeCount" }).value_or(1);
        profile.deploymentShapeVersion = readText(*snapshot, { "deploymentShapeVersion" });
        profile.deploymentImageTag = readText(*snapshot, { "deploymentImageTag" });
        profile.acceleratorType = readText(*snapshot, { "acceleratorType" });
        profile.acceleratorCount = readSmallInt(*snapshot, { "acceleratorCount" }).value_or(0);
        profile.baseModelWeightPrecision = readText(*snapshot, { "baseModelWeightPrecision" });
        profile.trainerMode = readText(*snapshot, { "trainerMode" });
        if (const auto* scheme = findField(*snapshot, { "trainerShardingScheme" });
            scheme != nullptr && scheme->is_object())
            profile.pipelineParallelism =
                readSmallInt(*scheme, { "pipelineParallelism" }).value_or(1);
        return profile;
    }

    std::vector<std::string_view> shapeSegments(std::string_view name)
    {
        std::vector<std::string_view> segments;
        constexpr std::size_t kMost = 8;
        while (segments.size() < kMost) {
            const auto slash = name.find('/');
            segments.push_back(name.substr(0, slash));
            if (slash == std::string_view::npos)
                break;
            name.remove_prefix(slash + 1);
        }
        return segments;
    }

} // namespace

std::string TrainingProfile::trainingShape() const
{
    return trainingShapeVersion.substr(0, trainingShapeVersion.find("/versions/"));
}

bool isTrainingShapeName(std::string_view name) noexcept
{
    const auto segments = shapeSegments(name);
    if (segments.size() != 4 && segments.size() != 6)
        return false;
    static constexpr std::array<std::string_view, 3> kWords { "accounts", "trainingShapes",
        "versions" };
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const auto segment = segments[i];
        if (i % 2 == 0 ? segment != kWords[i / 2] : segment.empty())
            return false;
        if (i % 2 == 1 && (segment == "." || segment == ".."))
            return false;
    }
    return name.find_first_of("?#% ") == std::string_view::npos;
}

Result<TrainingProfile> decodeTrainingProfile(std::string_view body)
{
    const auto object = parseObject(body, "training shape version");
    if (!object)
        return object.error();
    return profileFromRow(*object);
}

Result<TrainingProfile> decodeFirstTrainingProfile(std::string_view body)
{
    const auto object = parseObject(body, "training shape versions");
    if (!object)
        return object.error();
    const auto* rows = findField(*object, { "trainingShapeVersions" });
    if (rows == nullptr || !rows->is_array() || rows->empty())
        return Error { Error::Code::NotFound, "The training shape has no validated version",
            "Nothing was created", "Name a version, or choose another shape", {} };
    return profileFromRow(rows->front());
}

} // namespace desk
