// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/router.h"

#include "services/codecs/error_codec.h"
#include "services/codecs/trainer_codec.h"

#include <algorithm>

namespace desk::local {

void Router::add(std::string method, std::string_view pattern, HttpHandler handler)
{
    m_routes.push_back({ std::move(method), parse(pattern), std::move(handler) });
}

std::vector<Router::Segment> Router::parse(std::string_view pattern)
{
    std::vector<Segment> result;
    while (!pattern.empty()) {
        pattern.remove_prefix(1);
        const auto slash = pattern.find('/');
        auto text = pattern.substr(0, slash);
        pattern = slash == std::string_view::npos ? std::string_view {} : pattern.substr(slash);
        Segment segment;
        const auto colon = text.find(':');
        if (colon != std::string_view::npos) {
            segment.verb = std::string(text.substr(colon + 1));
            text = text.substr(0, colon);
        }
        segment.isParameter = text.size() > 2 && text.front() == '{' && text.back() == '}';
        segment.text = std::string(segment.isParameter ? text.substr(1, text.size() - 2) : text);
        segment.isRest = segment.isParameter && segment.text.back() == '*';
        if (segment.isRest)
            segment.text.pop_back();
        result.push_back(std::move(segment));
    }
    return result;
}

bool Router::isVerb(std::string_view text) const
{
    return std::any_of(m_routes.begin(), m_routes.end(), [text](const Route& route) {
        return !route.segments.empty() && route.segments.back().verb == text;
    });
}

bool Router::match(const Route& route, const std::vector<std::string>& path,
    std::map<std::string, std::string>& parameters) const
{
    const bool hasRest = !route.segments.empty() && route.segments.back().isRest;
    if (hasRest ? path.size() < route.segments.size() : path.size() != route.segments.size())
        return false;
    for (std::size_t i = 0; i < route.segments.size(); ++i) {
        const auto& segment = route.segments[i];
        if (segment.isRest) {
            auto& rest = parameters[segment.text];
            for (auto j = i; j < path.size(); ++j)
                rest += (j > i ? "/" : "") + path[j];
            return true;
        }
        std::string_view text = path[i];
        if (!segment.verb.empty()) {
            const auto colon = text.rfind(':');
            if (colon == std::string_view::npos || text.substr(colon + 1) != segment.verb)
                return false;
            text = text.substr(0, colon);
        } else if (segment.isParameter && i + 1 == path.size()) {
            const auto colon = text.rfind(':');
            if (colon != std::string_view::npos && isVerb(text.substr(colon + 1)))
                return false;
        }
        if (segment.isParameter ? text.empty() : text != segment.text)
            return false;
        if (segment.isParameter)
            parameters[segment.text] = std::string(text);
    }
    return true;
}

void Router::route(HttpRequest request, Responder responder) const
{
    liftTrainerPrefix(request);
    std::string allowed;
    for (const auto& route : m_routes) {
        std::map<std::string, std::string> parameters;
        if (!match(route, request.segments, parameters))
            continue;
        if (route.method == request.method) {
            request.parameters = std::move(parameters);
            route.handler(std::move(request), std::move(responder));
            return;
        }
        if (allowed.find(route.method) == std::string::npos)
            allowed += (allowed.empty() ? "" : ", ") + route.method;
    }
    const bool isTrainers = !request.segments.empty() && request.segments.front() == "api";
    const auto refusal = isTrainers ? detailResponse : errorResponse;
    if (allowed.empty()) {
        responder.send(refusal(404, "there is no " + request.path() + " here"));
        return;
    }
    auto response = refusal(405, request.path() + " does not take " + request.method + " requests");
    response.headers.push_back({ "Allow", allowed });
    responder.send(std::move(response));
}

void liftTrainerPrefix(HttpRequest& request)
{
    auto& path = request.segments;
    for (std::size_t i = 0; i + 4 < path.size(); ++i) {
        if (path[i] != "rlorTrainerJobs" || path[i + 3] != "api" || path[i + 4] != "v1")
            continue;
        request.trainerAccount = path[i + 1];
        request.trainerJob = path[i + 2];
        path.erase(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(i + 3));
        return;
    }
}

HttpResponse errorResponse(int status, std::string_view message)
{
    HttpResponse response;
    response.status = status;
    response.body = encodeError(status, message);
    return response;
}

HttpResponse detailResponse(int status, std::string_view message)
{
    HttpResponse response;
    response.status = status;
    response.body = encodeTrainerError(status, message);
    return response;
}

HttpResponse jsonResponse(std::string body)
{
    HttpResponse response;
    response.body = std::move(body);
    return response;
}

} // namespace desk::local
