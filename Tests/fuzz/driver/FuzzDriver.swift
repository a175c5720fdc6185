// usage: sluice-fuzz [libFuzzer's options] [CORPUS]...
//
// The surface is in SLUICE_FUZZ_SURFACE and not among the arguments: libFuzzer starts itself anew with
// those it was given.
private import CFuzzer
private import Glibc
private import SluiceFuzzing

@main
struct FuzzDriver {
    static func main() {
        guard Stage.surface != nil else {
            print("SLUICE_FUZZ_SURFACE is one of \(Surface.allCases)")
            exit(2)
        }
        var (count, arguments) = unsafe (CommandLine.argc, Optional(CommandLine.unsafeArgv))
        exit(unsafe LLVMFuzzerRunDriver(&count, &arguments) { unsafe Stage.play($0, $1) })
    }
}

/// What libFuzzer plays on.
private enum Stage {
    /// The surface that the environment names; nothing here changes the environment.
    static let surface = unsafe getenv("SLUICE_FUZZ_SURFACE").flatMap {
        unsafe Surface(rawValue: String(cString: $0))
    }
    // libFuzzer has one thread.
    nonisolated(unsafe) private static let guarded = GuardedText(capacity: 1 << 16)

    static func play(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
        guard let surface else { return 0 }
        let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: min(count, 1 << 16)))
        // A finding ends the process as a crash would, so that libFuzzer keeps the input.
        unsafe guarded.with(bytes) { bytes in
            do throws(Finding) { unsafe try surface.check(bytes) } catch {
                let sentence = Array("\nfinding: \(error)\n".utf8)
                _ = unsafe sentence.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
                abort()
            }
        }
        return 0
    }
}
