import ArgumentParser
import Foundation
import SluiceWire

/// What every operator command takes.
struct AdminOptions: ParsableArguments {
    @Option(name: .long, help: "Where the admin API is: http://HOST:PORT or unix:///PATH.")
    var admin = "http://127.0.0.1:9901"

    @Option(name: .long, help: "A file whose first line is the admin token.")
    var tokenFile: String?

    @Flag(name: .long, help: "Print the admin API's JSON.")
    var json = false
}

/// The admin API as commands call it: one call, its JSON or one sentence.
struct AdminClient {
    let options: AdminOptions

    /// Calls `path`; an answer other than 2xx is a failure with the API's own sentence.
    func call(
        _ method: String,
        _ path: String,
        fields: [(String, String)] = [],
        body: JSONValue? = nil,
        timeout: Duration? = nil
    ) throws(HTTPClient.Failure) -> JSONValue {
        var all = fields
        if let token = try token() { all.append(("authorization", "Bearer \(token)")) }
        if method != "GET", let user = ProcessInfo.processInfo.environment["USER"] {
            all.append(("x-sluice-author", user))
        }
        if body != nil { all.append(("content-type", "application/json")) }
        let answer: HTTPClient.Answer
        do throws(HTTPClient.Failure) {
            answer = try HTTPClient().send(
                to: options.admin,
                method: method,
                path: path,
                fields: all,
                body: body?.serialized ?? [],
                timeout: timeout ?? .seconds(method == "GET" ? 10 : 30)
            )
        } catch {
            throw HTTPClient.Failure(sentence: "\(error.sentence); \(AdminClient.advice)")
        }
        let document: JSONValue
        do throws(JSONFailure) {
            document = try JSONParser.parse(answer.body)
        } catch {
            throw unknownName(status: answer.status)
        }
        guard (200..<300).contains(answer.status) else {
            guard let sentence = document["error"]?.text else {
                throw unknownName(status: answer.status)
            }
            throw HTTPClient.Failure(sentence: sentence)
        }
        return document
    }

    private static let advice = "`--admin` says where a gateway's admin API is"

    /// Why what listens there is no gateway.
    func unknownName(status: Int) -> HTTPClient.Failure {
        HTTPClient.Failure(
            sentence:
                "\(options.admin) doesn't answer like Sluice's admin API (HTTP \(status)): another program listens there; \(AdminClient.advice)"
        )
    }

    /// For calls that may wait until a cache is warm.
    static let requestTimeout = Duration.seconds(3600)

    /// `text` as one segment of a path.
    static func segment(_ text: String) -> String {
        text.addingPercentEncoding(
            withAllowedCharacters: .alphanumerics.union(.init(charactersIn: "-._~:"))
        )
            ?? text
    }

    private func token() throws(HTTPClient.Failure) -> String? {
        guard let file = options.tokenFile else { return nil }
        guard let data = FileManager.default.contents(atPath: file) else {
            throw HTTPClient.Failure(sentence: "--token-file \(file) can't be read")
        }
        return String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).first
            .map(String.init)
    }
}
