// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QDBusVariant>
#include <QObject>
#include <QString>

namespace desk {

/// Installs fonts, DeskStyle, palette and focus ring, and keeps light/dark in step with the system.
/// Create one right after QApplication and before any widget; it must outlive them.
///
/// Mode System reads org.freedesktop.appearance color-scheme over D-Bus, asynchronously; without a
/// portal it looks at the palette the platform started with.
class Theme final : public QObject
{
    Q_OBJECT

public:
    enum class Mode
    {
        System,
        Light,
        Dark
    };
    Q_ENUM(Mode)

    explicit Theme(Mode mode = Mode::System, QObject* parent = nullptr);
    ~Theme() override;
    Q_DISABLE_COPY_MOVE(Theme)

    [[nodiscard]] Mode mode() const noexcept { return m_mode; }
    [[nodiscard]] bool isDark() const noexcept;
    /// Live switch. Widgets change when the palette event arrives, not inside this call.
    void setMode(Mode mode);
    [[nodiscard]] static QString word(Mode mode); ///< "system", "light", "dark"
    [[nodiscard]] static Mode fromWord(const QString& word); ///< System for anything else

Q_SIGNALS:
    void modeChanged(desk::Theme::Mode mode);
    void changed(bool isDark); ///< tokens() has new colors

private Q_SLOTS:
    void noteSetting(const QString& space, const QString& key, const QDBusVariant& value);

private:
    void apply();
    void askPortal();

    Mode m_mode;
    bool m_isSystemDark = false;
};

} // namespace desk
