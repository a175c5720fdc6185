private import Glibc

/// The terminal while a command draws on all of it; what was there before comes back afterwards.
///
/// Draws on the alternate screen (xterm, "DECSET 1049"). Keys are read one by one and not shown.
/// Signals that end a process are blocked and looked for, so that no way out leaves the terminal
/// in disorder.
struct LiveScreen: ~Copyable {
    private let before: termios

    /// Takes the terminal; nil where input or output isn't one.
    init?() {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return nil }
        var settings = termios()
        guard unsafe tcgetattr(STDIN_FILENO, &settings) == 0 else { return nil }
        before = settings
        // Ctrl-C and Ctrl-Z come as keys.
        settings.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        _ = unsafe tcsetattr(STDIN_FILENO, TCSANOW, &settings)
        var set = LiveScreen.endings()
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        LiveScreen.write("\u{1B}[?1049h\u{1B}[?25l")
    }

    deinit {
        LiveScreen.write("\u{1B}[?25h\u{1B}[?1049l")
        var settings = before
        _ = unsafe tcsetattr(STDIN_FILENO, TCSANOW, &settings)
        var set = LiveScreen.endings()
        unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }

    /// How many rows and columns it has; 24 and 80 if it doesn't say.
    var size: (rows: Int, columns: Int) {
        var size = winsize()
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0,
            size.ws_col > 0
        else { return (24, 80) }
        return (Int(size.ws_row), Int(size.ws_col))
    }

    /// Shows these lines from the top, cut to what fits.
    func draw(_ lines: [String]) {
        let (rows, columns) = size
        var text = "\u{1B}[H"
        for (index, line) in lines.prefix(rows).enumerated() {
            if index > 0 { text += "\n" }
            text += LiveScreen.cut(line, to: columns) + "\u{1B}[0m\u{1B}[K"
        }
        LiveScreen.write(text + "\u{1B}[J")
    }

    /// Waits; false when the user wants to leave (q, Ctrl-C, Ctrl-D, or a signal).
    func wait(seconds: Double) -> Bool {
        var left = Int(seconds * 1000)
        while true {
            var set = LiveScreen.endings()
            var nothing = timespec()
            if unsafe sigtimedwait(&set, nil, &nothing) > 0 { return false }
            guard left > 0 else { return true }
            let slice = min(left, 200)
            left -= slice
            var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&input, 1, Int32(slice)) > 0 else { continue }
            var key: UInt8 = 0
            guard unsafe read(STDIN_FILENO, &key, 1) == 1 else { return false }
            if [0x03, 0x04, UInt8(ascii: "q"), UInt8(ascii: "Q")].contains(key) { return false }
            // Any other key asks for a look now.
            return true
        }
    }

    /// The first `columns` characters that are seen; escape sequences are not.
    static func cut(_ line: String, to columns: Int) -> String {
        var result = ""
        var seen = 0
        var isEscape = false
        for character in line {
            if character == "\u{1B}" { isEscape = true }
            if isEscape {
                result.append(character)
                if character.isLetter { isEscape = false }
            } else if seen < columns {
                result.append(character)
                seen += 1
            }
        }
        return result
    }

    private static func endings() -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] { unsafe sigaddset(&set, number) }
        return set
    }

    private static func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count)
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
