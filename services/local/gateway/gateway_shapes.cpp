// SPDX-License-Identifier: GPL-3.0-or-later
// Training and deployment shapes: what this machine offers for each base model, so that flows which
// begin with a shape work. A base model has two training shapes, `<model>` for full parameters and
// `<model>-lora` for adapters, and one deployment shape.
#include "services/core/resource_name.h"
#include "services/local/gateway/gateway_service.h"

#include <algorithm>
#include <array>

namespace desk::local {

namespace {

    constexpr const char* kShapeVersion = "1";
    constexpr std::string_view kLoraSuffix = "-lora";
    /// Under which shapes of the service are known; they are listed below both accounts.
    constexpr const char* kPublicPublisher = "fireworks";

    Error noShape(const std::string& kind, const std::string& name)
    {
        return Error { Error::Code::NotFound, "there is no " + kind + " shape " + name + " here",
            "nothing was changed", "list the " + kind + " shapes of accounts/fireworks", {} };
    }

    bool endsWith(std::string_view text, std::string_view end)
    {
        return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
    }

    /// The model that a shape of the service is for, by its name: "qwen3-8b-128k-h200" is for
    /// "qwen3-8b". Words about length, hardware and method stand at its end.
    std::string modelOfShape(std::string_view shape)
    {
        if (shape.substr(0, 4) == "rft-")
            shape.remove_prefix(4);
        static constexpr std::array<std::string_view, 16> kWords { "lora", "policy", "reference",
            "full", "rl", "sft", "rft", "dpo", "h100", "h200", "b200", "b300", "a100", "mi300x",
            "mi325x", "minimum" };
        while (true) {
            const auto dash = shape.rfind('-');
            if (dash == std::string_view::npos)
                return std::string(shape);
            const auto word = shape.substr(dash + 1);
            const bool isLength = word.size() > 1 && word.back() == 'k'
                && std::all_of(
                    word.begin(), word.end() - 1, [](char c) { return c >= '0' && c <= '9'; });
            if (!isLength && std::find(kWords.begin(), kWords.end(), word) == kWords.end())
                return std::string(shape);
            shape = shape.substr(0, dash);
        }
    }

    TrainingShape shapeFor(const ModelRow& row, const std::string& publisher,
        const std::string& shape, const std::string& baseModel, bool isLora)
    {
        TrainingShape result;
        result.name = "accounts/" + publisher + "/trainingShapes/" + shape;
        result.version = kShapeVersion;
        result.displayName = row.model.displayName + (isLora ? ", adapters" : ", full parameters");
        result.baseModel = baseModel;
        result.modelType = row.model.modelType;
        result.parameterCount = row.model.parameterCount;
        result.trainerMode = isLora ? "LORA_TRAINER" : "POLICY_TRAINER";
        result.contextLength = row.model.contextLength.value_or(0);
        result.deploymentShapeVersion =
            "accounts/" + publisher + "/deploymentShapes/" + row.id + "/versions/" + kShapeVersion;
        result.created = row.model.created;
        return result;
    }

    DeploymentShape deploymentShapeFor(const TrainingShape& shape)
    {
        DeploymentShape result;
        const auto& version = shape.deploymentShapeVersion;
        result.name = version.substr(0, version.rfind("/versions/"));
        result.version = shape.version;
        result.displayName = std::string(lastSegment(result.name));
        result.baseModel = shape.baseModel;
        result.modelType = shape.modelType;
        result.parameterCount = shape.parameterCount;
        result.created = shape.created;
        return result;
    }

    std::vector<DeploymentShape> deploymentShapesOf(const std::vector<TrainingShape>& shapes)
    {
        std::vector<DeploymentShape> result;
        for (const auto& shape : shapes)
            if (shape.trainerMode == "POLICY_TRAINER")
                result.push_back(deploymentShapeFor(shape));
        return result;
    }

} // namespace

void GatewayService::addShapeRoutes(Router& router)
{
    using G = GatewayService;
    add(router, "GET", "/v1/accounts/{p}/trainingShapes", &G::listTrainingShapes);
    addSlow(router, "GET", "/v1/accounts/{p}/trainingShapes/{s}", &G::getTrainingShape);
    addSlow(router, "GET", "/v1/accounts/{p}/trainingShapes/{s}/versions",
        &G::listTrainingShapeVersions);
    addSlow(router, "GET", "/v1/accounts/{p}/trainingShapes/{s}/versions/{v}",
        &G::getTrainingShapeVersion);
    add(router, "GET", "/v1/accounts/{p}/deploymentShapes", &G::listDeploymentShapes);
    addSlow(router, "GET", "/v1/accounts/{p}/deploymentShapes/{s}", &G::getDeploymentShape);
    addSlow(router, "GET", "/v1/accounts/{p}/deploymentShapes/{s}/versions",
        &G::listDeploymentShapeVersions);
    addSlow(router, "GET", "/v1/accounts/{p}/deploymentShapes/{s}/versions/{v}",
        &G::getDeploymentShapeVersion);
    add(router, "POST", "/v1/accounts/{p}/deploymentShapeVersions:match",
        &G::matchDeploymentShapes);
}

Result<std::vector<TrainingShape>> GatewayService::trainingShapes(
    const std::string& publisher) const
{
    if (publisher != m_store.account() && publisher != kPublicPublisher)
        return noShape("training", "accounts/" + publisher + "/trainingShapes");
    auto rows = m_store.models();
    if (!rows)
        return rows.error();
    std::vector<TrainingShape> shapes;
    for (const auto& row : *rows) {
        if (!row.isBase)
            continue;
        const auto base = modelName(m_store.account(), row.id);
        shapes.push_back(shapeFor(row, publisher, row.id, base, false));
        shapes.push_back(shapeFor(row, publisher, row.id + std::string(kLoraSuffix), base, true));
    }
    return shapes;
}

Result<TrainingShape> GatewayService::trainingShape(
    const std::string& publisher, const std::string& shape) const
{
    auto shapes = trainingShapes(publisher);
    if (!shapes)
        return shapes.error();
    const auto name = "accounts/" + publisher + "/trainingShapes/" + shape;
    for (const auto& entry : *shapes)
        if (entry.name == name)
            return entry;
    // In a rehearsal the model of a shape that only the service has gets its stand-in here.
    const auto base = modelName(publisher, modelOfShape(shape));
    auto row = publisher == kPublicPublisher ? m_store.namedModel(base)
                                             : Result<ModelRow>(noShape("training", name));
    if (!row)
        return noShape("training", name);
    auto made = shapeFor(*row, publisher, shape, base,
        endsWith(shape, kLoraSuffix) || shape.find("-lora-") != std::string::npos);
    made.displayName = "For " + base;
    return made;
}

GatewayService::Answer GatewayService::listTrainingShapes(const HttpRequest& request)
{
    auto query = decodeListQuery(request.query);
    auto shapes = trainingShapes(request.parameter("p"));
    if (!query || !shapes)
        return query ? shapes.error() : query.error();
    return encodeTrainingShapes(*shapes, *query);
}

GatewayService::Answer GatewayService::getTrainingShape(const HttpRequest& request)
{
    auto shape = trainingShape(request.parameter("p"), request.parameter("s"));
    if (!shape)
        return shape.error();
    return encodeTrainingShape(*shape);
}

GatewayService::Answer GatewayService::listTrainingShapeVersions(const HttpRequest& request)
{
    auto query = decodeListQuery(request.query);
    if (!query)
        return query.error();
    auto shape = trainingShape(request.parameter("p"), request.parameter("s"));
    if (!shape)
        return shape.error();
    return encodeTrainingShapeVersions({ &*shape, 1 }, *query);
}

GatewayService::Answer GatewayService::getTrainingShapeVersion(const HttpRequest& request)
{
    auto shape = trainingShape(request.parameter("p"), request.parameter("s"));
    if (!shape)
        return shape.error();
    // A pinned version of the service is played by the one that there is.
    if (request.parameter("v") != kShapeVersion && shape->displayName.rfind("For ", 0) != 0)
        return noShape("training", shape->name + "/versions/" + request.parameter("v"));
    shape->version = request.parameter("v");
    return encodeTrainingShapeVersion(*shape);
}

GatewayService::Answer GatewayService::listDeploymentShapes(const HttpRequest& request)
{
    auto query = decodeListQuery(request.query);
    auto shapes = trainingShapes(request.parameter("p"));
    if (!query || !shapes)
        return query ? shapes.error() : query.error();
    auto offered = deploymentShapesOf(*shapes);
    if (const auto target = request.queryValue("targetModel"); !target.empty())
        offered.erase(std::remove_if(offered.begin(), offered.end(),
                          [&](const DeploymentShape& shape) {
                              return shape.baseModel != target
                                  && lastSegment(shape.baseModel) != target;
                          }),
            offered.end());
    return encodeDeploymentShapes(offered, *query);
}

GatewayService::Answer GatewayService::getDeploymentShape(const HttpRequest& request)
{
    auto shape = trainingShape(request.parameter("p"), request.parameter("s"));
    if (!shape)
        return noShape("deployment", request.parameter("s"));
    return encodeDeploymentShape(deploymentShapeFor(*shape));
}

GatewayService::Answer GatewayService::listDeploymentShapeVersions(const HttpRequest& request)
{
    auto query = decodeListQuery(request.query);
    if (!query)
        return query.error();
    auto shape = trainingShape(request.parameter("p"), request.parameter("s"));
    if (!shape)
        return noShape("deployment", request.parameter("s"));
    const auto offered = deploymentShapeFor(*shape);
    return encodeDeploymentShapeVersions({ &offered, 1 }, *query);
}

GatewayService::Answer GatewayService::getDeploymentShapeVersion(const HttpRequest& request)
{
    auto shape = trainingShape(request.parameter("p"), request.parameter("s"));
    if (!shape || request.parameter("v") != kShapeVersion)
        return noShape(
            "deployment", request.parameter("s") + "/versions/" + request.parameter("v"));
    return encodeDeploymentShapeVersion(deploymentShapeFor(*shape));
}

GatewayService::Answer GatewayService::matchDeploymentShapes(const HttpRequest& request)
{
    auto model = decodeShapeMatch(request.body);
    if (!model)
        return model.error();
    auto shapes = trainingShapes(request.parameter("p"));
    if (!shapes)
        return shapes.error();
    auto offered = deploymentShapesOf(*shapes);
    offered.erase(std::remove_if(offered.begin(), offered.end(),
                      [&](const DeploymentShape& shape) { return shape.baseModel != *model; }),
        offered.end());
    return encodeDeploymentShapeVersions(offered, ListQuery {});
}

} // namespace desk::local
