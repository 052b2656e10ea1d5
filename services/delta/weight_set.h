// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/core/result.h"
#include "services/delta/safetensors.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

struct WeightShard
{
    std::string name; ///< file name within the folder; of a single file its own
    SafetensorsFile file;
};

/// One tensor of a set and the shard it lies in.
struct WeightTensor
{
    const TensorInfo* info = nullptr;
    std::size_t shard = 0;
    bool isCut = false; ///< the file ends before the tensor does
};

/// The weights of one .safetensors file or of one Hugging Face folder: with an index its shards,
/// else all *.safetensors of the folder. Checked: every name of the index is in its shard and the
/// other way round, no tensor in two shards, no name that leaves the folder. Links (hub cache:
/// snapshots/<rev>/x -> ../../blobs/<hash>) are followed while they stay inside the model's cache
/// folder, or inside the folder itself where it is no cache.
class WeightSet
{
public:
    enum class Shorts
    {
        Refuse, ///< a shard that ends too early is Malformed
        Allow ///< it is listed in problems(), its tensors are marked
    };
    /// problems: receives everything that is wrong, also when an Error comes back; may be nullptr.
    [[nodiscard]] static Result<WeightSet> open(const std::filesystem::path& path, Shorts shorts,
        std::vector<FileProblem>* problems = nullptr);

    [[nodiscard]] bool isFolder() const noexcept { return m_isFolder; }
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return m_path; }
    [[nodiscard]] const std::vector<WeightShard>& shards() const noexcept { return m_shards; }
    /// In the order of the shards' names, then of the bytes.
    [[nodiscard]] const std::vector<WeightTensor>& tensors() const noexcept { return m_tensors; }
    [[nodiscard]] const WeightTensor* find(std::string_view name) const;
    [[nodiscard]] const WeightShard* findShard(std::string_view name) const;
    [[nodiscard]] const SafetensorsFile& fileOf(const WeightTensor& tensor) const
    {
        return m_shards[tensor.shard].file;
    }
    [[nodiscard]] std::uint64_t fileBytes() const noexcept; ///< of the weight files
    [[nodiscard]] const std::vector<FileProblem>& shortShards() const noexcept { return m_shorts; }
    /// Regular files of the folder that hold no weights, by name.
    [[nodiscard]] const std::vector<std::string>& otherFiles() const noexcept { return m_others; }
    /// Where a file of the folder lies, links followed by the rule above.
    [[nodiscard]] Result<std::filesystem::path> resolve(const std::string& name) const;
    /// `tie_word_embeddings` of the config.json beside the weights.
    [[nodiscard]] bool saysTied() const;

private:
    WeightSet() = default;
    [[nodiscard]] Status openFile(Shorts shorts, std::vector<FileProblem>& problems);
    [[nodiscard]] Status openFolder(Shorts shorts, std::vector<FileProblem>& problems);
    [[nodiscard]] Status addShard(const std::string& name, const std::filesystem::path& path,
        Shorts shorts, std::vector<FileProblem>& problems);
    [[nodiscard]] Status listTensors(std::vector<FileProblem>& problems);
    [[nodiscard]] Status checkIndex(const std::map<std::string, std::string>& weightMap,
        std::vector<FileProblem>& problems) const;

    std::filesystem::path m_path;
    std::filesystem::path m_root; ///< links may not leave it
    bool m_isFolder = false;
    std::vector<WeightShard> m_shards;
    std::vector<WeightTensor> m_tensors;
    std::map<std::string_view, std::size_t> m_byName; // keys live in the shards' headers
    std::vector<FileProblem> m_shorts;
    std::vector<std::string> m_others;
};

/// The path itself, or where its link leads, if the rule above allows it. Refused: it leads
/// outside; NotFound: it dangles (the message names the target).
[[nodiscard]] Result<std::filesystem::path> resolveWeightPath(const std::filesystem::path& path);

/// True inside the snapshots or blobs of a hub cache, where nothing may ever be written.
[[nodiscard]] bool isInsideHubCache(const std::filesystem::path& path);

/// `weight_map` of a model.safetensors.index.json: tensor name to file name.
[[nodiscard]] Result<std::map<std::string, std::string>> parseWeightIndex(std::string_view json);
/// `tie_word_embeddings` of a config.json; false if it cannot be read.
[[nodiscard]] bool configSaysTied(std::string_view json);

} // namespace desk
