// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/records.h"
#include "services/core/result.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// JSON columns of the operations journal, and the result of a hot load (cli.md section 7).
// THREAD: any.

namespace desk {

[[nodiscard]] std::string encodeTextMap(const std::map<std::string, std::string>& map);
[[nodiscard]] Result<std::map<std::string, std::string>> decodeTextMap(std::string_view text);

/// {"method","url","headers":{…},"body"}
[[nodiscard]] std::string encodeRequestPreview(const RequestPreview& request);
[[nodiscard]] Result<RequestPreview> decodeRequestPreview(std::string_view text);

/// [{"id","identity","stage","ready","error","seconds","target"},…]: a replica as cli.md has it
/// ("identity" is the snapshot it serves), plus "target".
[[nodiscard]] std::string encodeReplicas(const std::vector<Replica>& replicas);
[[nodiscard]] Result<std::vector<Replica>> decodeReplicas(std::string_view text);

/// Result of a hot load: {"identity","replica":[…],"seconds"}.
[[nodiscard]] std::string encodeHotloadOutcome(
    std::string_view identity, const std::vector<Replica>& replicas, std::optional<double> seconds);

} // namespace desk
