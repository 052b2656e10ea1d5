// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/local/server/http_types.h"

#include <string>
#include <string_view>
#include <vector>

namespace desk::local {

/// Finds the handler of a request by method and path.
///
/// A pattern is a path of literal segments and parameters, `/v1/accounts/{a}/deployments/{d}`; the
/// last one may carry a verb, `{c}:promote`. A parameter without a verb does not match a segment
/// with one of the verbs registered for it. A last parameter `{name*}` takes the whole rest of the
/// path, one segment or more, joined with '/'; routes are tried in the order of their registration.
///
/// A request below `/<anything>/rlorTrainerJobs/<account>/<job>/api/v1/…` is looked up as
/// `/api/v1/…` with `trainerAccount` and `trainerJob` set (trainer.md section 1.1).
class Router
{
public:
    void add(std::string method, std::string_view pattern, HttpHandler handler);
    /// Calls the handler; 404 for an unknown path, 405 with Allow for a known path and another
    /// method.
    void route(HttpRequest request, Responder responder) const;

private:
    struct Segment
    {
        std::string text; ///< literal, or name of the parameter
        std::string verb; ///< without the colon
        bool isParameter = false;
        bool isRest = false;
    };
    struct Route
    {
        std::string method;
        std::vector<Segment> segments;
        HttpHandler handler;
    };
    static std::vector<Segment> parse(std::string_view pattern);
    bool match(const Route& route, const std::vector<std::string>& path,
        std::map<std::string, std::string>& parameters) const;
    bool isVerb(std::string_view text) const;

    std::vector<Route> m_routes;
};

/// Applies the trainer prefix rule to a request.
void liftTrainerPrefix(HttpRequest& request);

/// Error answer in the shape that every client reads.
[[nodiscard]] HttpResponse errorResponse(int status, std::string_view message);
/// The same for routes of a trainer, whose clients show its "detail".
[[nodiscard]] HttpResponse detailResponse(int status, std::string_view message);
/// 200 with a JSON body.
[[nodiscard]] HttpResponse jsonResponse(std::string body);

} // namespace desk::local
