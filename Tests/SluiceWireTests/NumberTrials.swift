import Foundation
import SluiceCore
import SluiceWire

/// Trials of reading and writing numbers against Swift's own; each returns what went wrong.
enum NumberTrials {
    /// Writes and reads numbers of random bits.
    static func randomBits(count: Int, random: inout RandomSource) -> [String] {
        var failures: [String] = []
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: JSONNumberText.room)
        defer { unsafe memory.deallocate() }
        func string(_ length: Int) -> String {
            unsafe String(
                decoding: UnsafeBufferPointer(start: memory, count: length),
                as: UTF8.self
            )
        }
        func raw(_ length: Int) -> UnsafeRawBufferPointer {
            unsafe UnsafeRawBufferPointer(start: memory, count: length)
        }
        for index in 0..<count {
            var bits = random.next() as UInt64
            // Every other number has few bits set, as real ones do.
            if index & 1 == 1 { bits &= ~0 << (random.next() & 63) }
            let double = Double(bitPattern: bits)
            let single = Float(bitPattern: UInt32(truncatingIfNeeded: bits >> 32))
            if double.isFinite {
                let length = unsafe JSONNumberText.write(double, to: memory)
                if string(length) != double.description { failures.append("\(double)") }
                var cursor = unsafe JSONCursor(raw(length))
                if (try? cursor.number())?.double?.bitPattern != bits {
                    failures.append("reading \(double)")
                }
            }
            if single.isFinite {
                let length = unsafe JSONNumberText.write(single, to: memory)
                if string(length) != single.description { failures.append("\(single)") }
                var cursor = unsafe JSONCursor(raw(length))
                if (try? cursor.number())?.float?.bitPattern != single.bitPattern {
                    failures.append("reading \(single)")
                }
            }
        }
        return failures
    }

    /// Writes and reads each number of 16 bits, and looks for a shorter text.
    static func shortFloats() -> [String] {
        var failures: [String] = []
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: JSONNumberText.room)
        defer { unsafe memory.deallocate() }
        let brain = (JSONNumberType.bfloat16, ShortFloat.single(brain:), ShortFloat.brain)
        let half = (JSONNumberType.float16, ShortFloat.single(half:), ShortFloat.half)
        for (type, single, short) in [half, brain] {
            for bits in 0...UInt16.max {
                let length =
                    unsafe type == .float16
                    ? JSONNumberText.write(half: bits, to: memory)
                    : JSONNumberText.write(brain: bits, to: memory)
                let text = unsafe String(
                    decoding: UnsafeBufferPointer(start: memory, count: length),
                    as: UTF8.self
                )
                let value = single(bits)
                if value.isNaN {
                    if text != "NaN" { failures.append("\(type) \(bits): \(text)") }
                    continue
                }
                var back: UInt16 = 0
                var cursor = unsafe JSONCursor(UnsafeRawBufferPointer(start: memory, count: length))
                let shape = unsafe withUnsafeMutableBytes(of: &back) {
                    unsafe try? cursor.numbers(type, into: $0)
                }
                if shape == nil || back != bits { failures.append("\(type) \(bits): \(text)") }
                guard value.isFinite, value != 0 else { continue }
                // One digit fewer must be another number.
                let digits = text.prefix { $0 != "e" }.filter(\.isNumber).drop { $0 == "0" }
                let significant = digits.reversed().drop { $0 == "0" }.count
                guard significant > 1 else { continue }
                let shorter = String(format: "%.\(significant - 2)e", Double(value))
                if let other = Float(shorter), short(other) == bits {
                    failures.append("\(type) \(bits): \(text), but \(shorter) is shorter")
                }
            }
        }
        return failures
    }

    /// Reads random decimal texts, of up to 40 digits and more, beside Swift's initialisers.
    static func randomTexts(count: Int, random: inout RandomSource) -> [String] {
        var failures: [String] = []
        for _ in 0..<count {
            func digits(_ most: UInt64) -> String {
                (0..<1 + random.next() % most).map { _ in "\(random.next() % 10)" }.joined()
            }
            var text = random.next() & 1 == 0 ? "-" : ""
            let whole = digits(random.next() % 8 == 0 ? 40 : 5).drop { $0 == "0" }
            text += whole.isEmpty ? "0" : whole
            if random.next() & 3 != 0 { text += "." + digits(random.next() % 8 == 0 ? 60 : 18) }
            if random.next() & 3 == 0 {
                text += random.next() & 1 == 0 ? "e" : "E-"
                text += "\(random.next() % (random.next() & 1 == 0 ? 30 : 360))"
            }
            if let failure = read(text) { failures.append(failure) }
        }
        return failures
    }

    /// What is wrong with how `text` is read, or nil.
    static func read(_ text: String) -> String? {
        unsafe Array(text.utf8).withUnsafeBytes { bytes in
            var cursor = unsafe JSONCursor(bytes)
            guard let number = try? cursor.number() else { return "\(text) isn't read" }
            guard unsafe number.raw.count == bytes.count else { return "\(text) isn't read whole" }
            let double = Double(text).flatMap { $0.isFinite ? $0 : nil }
            if number.double?.bitPattern != double?.bitPattern {
                return "\(text): \(String(describing: number.double)) for a double"
            }
            let single = Float(text).flatMap { $0.isFinite ? $0 : nil }
            if number.float?.bitPattern != single?.bitPattern {
                return "\(text): \(String(describing: number.float)) for a float"
            }
            if number.int64 != Int64(text) || number.uint64 != UInt64(text) && text != "-0" {
                return "\(text) as a whole number"
            }
            return nil
        }
    }

    /// Reads the middles between neighbours, written out in full, and what lies a hair beside them.
    static func middles(count: Int, random: inout RandomSource) -> [String] {
        var failures: [String] = []
        for _ in 0..<count {
            let double = Double(bitPattern: random.next() as UInt64).magnitude
            let single = Float(bitPattern: random.next() as UInt32).magnitude
            guard double.isFinite, single.isFinite else { continue }
            // Doubles of 17 digits close to the middle between two singles.
            let near = Double(single) + Double(single.ulp) / 2
            for step in -9...9 {
                let text = Double(bitPattern: near.bitPattern &+ UInt64(bitPattern: Int64(step)))
                if let failure = read(text.description) { failures.append(failure) }
            }
            var middles: [Float80] = [Float80(single) + Float80(single.ulp) / 2]
            middles.append(Float80(double) + Float80(double.ulp) / 2)
            for middle in middles {
                let text = unsafe withVaList([middle]) {
                    unsafe NSString(format: "%.800Le", arguments: $0) as String
                }
                let parts = text.split(separator: "e")
                let mantissa = parts[0].reversed().drop { $0 == "0" }.reversed()
                let exact = String(mantissa) + "0"
                let below =
                    String(mantissa.dropLast()) + "\((mantissa.last?.wholeNumberValue ?? 1) - 1)9"
                for variant in [
                    exact, exact + "01", below, exact + String(repeating: "0", count: 900) + "1",
                ] {
                    if let failure = read(variant + "e" + parts[1]) { failures.append(failure) }
                }
            }
        }
        return failures
    }
}
