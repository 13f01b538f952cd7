"""The API, as a caller sees it: one of several addresses, and a connection that may break at any moment."""

import http.client
import json
import random
import time
import urllib.parse

PATIENCE_S = 15
# How long a caller goes on when no API answers.
PERSEVERANCE_S = 120
PAUSE_S = 0.2


class Unreachable(Exception):
    """No API answered for so long."""


class Unknown(Exception):
    """The connection broke after the request was sent: it may have been accepted or not."""


class Rest:
    def __init__(self, urls, seed=0):
        self.urls = [urllib.parse.urlsplit(url) for url in urls]
        self.random = random.Random(seed)

    def once(self, method, path, body=None, kind="application/json"):
        """Status and body of one try. ConnectionRefusedError: surely not sent."""
        url = self.random.choice(self.urls)
        secure = url.scheme == "https"
        connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(url.hostname, url.port, timeout=PATIENCE_S)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        try:
            connection.connect()
            try:
                connection.request(method, f"{url.path}/engine-rest{path}", data, {"Content-Type": kind} if data else {})
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise Unknown(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        try:
            return response.status, json.loads(text) if text else None
        except ValueError:
            return response.status, text.decode(errors="replace")

    def ask(self, method, path, body=None, kind="application/json"):
        """For what may be asked twice: tries until an API answers something else than that it cannot now."""
        end = time.time() + PERSEVERANCE_S
        while True:
            try:
                status, answer = self.once(method, path, body, kind)
                if status < 500:
                    return status, answer
                error = f"{status} {str(answer)[:200]}"
            except (OSError, Unknown) as failed:
                error = repr(failed)
            if time.time() > end:
                raise Unreachable(f"{method} {path}: {error}")
            time.sleep(PAUSE_S)

    def get(self, path):
        status, answer = self.ask("GET", path)
        if status != 200:
            raise Unreachable(f"GET {path}: {status} {str(answer)[:200]}")
        return answer

    def deploy(self, xml):
        """A definition's id."""
        boundary = "chaosboundary"
        parts = [('name="deployment-name"', "chaos"), ('name="data"; filename="process.bpmn"', xml)]
        text = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in parts)
        status, answer = self.ask("POST", "/deployment/create", f"{text}--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}")
        if status != 200:
            raise Unreachable(f"deployment: {status} {answer}")
        return next(iter(answer["deployedProcessDefinitions"]))
