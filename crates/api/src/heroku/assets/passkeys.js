// Passkeys for forms with `data-passkey` (`get` or `create`): asks the server for a challenge at
// `data-challenge`, the device for an answer, and sends that with the form. Without scripts such
// forms stay hidden or say so.
"use strict";
(() => {
  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-")
      .replace(/\//g, "_")
      .replace(/=+$/, "");

  // What the server sends as text and browsers want as bytes.
  const prepared = (options) => {
    options.challenge = toBytes(options.challenge);
    if (options.user) options.user.id = toBytes(options.user.id);
    for (const known of options.excludeCredentials || []) known.id = toBytes(known.id);
    return options;
  };

  const ceremonies = {
    async create(publicKey) {
      const { response } = await navigator.credentials.create({ publicKey });
      return {
        clientDataJSON: toText(response.clientDataJSON),
        attestationObject: toText(response.attestationObject),
        transports: response.getTransports ? response.getTransports() : [],
      };
    },
    async get(publicKey) {
      const { rawId, response } = await navigator.credentials.get({ publicKey });
      return {
        id: toText(rawId),
        userHandle: toText(response.userHandle || new ArrayBuffer(0)),
        clientDataJSON: toText(response.clientDataJSON),
        authenticatorData: toText(response.authenticatorData),
        signature: toText(response.signature),
      };
    },
  };

  const reason = (error) => {
    switch (error.name) {
      case "NotAllowedError":
      case "AbortError":
        return "Nothing happened: it was cancelled, or took too long. Try again.";
      case "InvalidStateError":
        return "This device has a passkey of your account already.";
      case "NotSupportedError":
      case "ConstraintError":
        return "This device cannot make a passkey that asks who you are. Try another one.";
      case "SecurityError":
        return "The browser allows no passkeys at this address.";
      default:
        return error.message;
    }
  };

  // Browsers drop what they are fetching when an address of their machine comes or goes. Asking
  // for a challenge changes nothing, so it is asked for again: up to three times, a second apart.
  const fetched = async (url) => {
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      if (attempt > 1) await new Promise((resume) => setTimeout(resume, 1000));
      const answer = await fetch(url, { method: "POST", cache: "no-store" }).catch(() => null);
      if (answer) return answer;
    }
    throw new Error("The server cannot be reached. Try again.");
  };

  const asked = async (url) => {
    const answer = await fetched(url);
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(body.message || "The server did not answer. Try again.");
    return prepared(body.publicKey);
  };

  const use = (form) => {
    const button = form.querySelector("button");
    const wrong = form.querySelector("[data-wrong]");
    const label = button.textContent;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      wrong.hidden = true;
      button.disabled = true;
      button.textContent = "Waiting for your device…";
      try {
        const answer = await ceremonies[form.dataset.passkey](await asked(form.dataset.challenge));
        form.elements.passkey.value = JSON.stringify(answer);
        form.submit();
      } catch (error) {
        wrong.textContent = reason(error);
        wrong.hidden = false;
        button.disabled = false;
        button.textContent = label;
        button.focus();
      }
    });
  };

  const usable = window.PublicKeyCredential && navigator.credentials;
  for (const part of document.querySelectorAll("[data-with-passkeys]")) part.hidden = !usable;
  for (const part of document.querySelectorAll("[data-without-passkeys]")) part.hidden = !!usable;
  if (usable) document.querySelectorAll("form[data-passkey]").forEach(use);
})();
