/// Who answered, as an access line has it, put together once for each revision and each backend.
///
/// Model, revision and backend are the same in every line of theirs, and a third of its text.
package enum AccessTarget {
    /// The members that aren't empty with what separates them from the one before: `,"model":"iris",…`.
    package static func text(model: String, revision: String, backend: String = "") -> String {
        var names = (model, revision, backend)
        return names.0.withUTF8 { model in
            names.1.withUTF8 { revision in
                names.2.withUTF8 { backend in
                    var record = AccessRecord(start: WallTime(nanoseconds: 0))
                    // The names are borrowed for this closure.
                    unsafe record.model = UnsafeRawBufferPointer(model)
                    unsafe record.revision = UnsafeRawBufferPointer(revision)
                    unsafe record.backend = UnsafeRawBufferPointer(backend)
                    return String(writing: record)
                }
            }
        }
    }
}

extension String {
    fileprivate init(writing record: AccessRecord) {
        let bound = AccessLine.bound(record)
        unsafe self.init(unsafeUninitializedCapacity: bound) { memory in
            guard let start = memory.baseAddress else { return 0 }
            // The closure's memory has the bytes of the line's bound, of which this is a part.
            var writer = unsafe TextWriter(start: start, capacity: bound)
            AccessLine.writeTarget(record, into: &writer)
            return writer.count
        }
    }
}
